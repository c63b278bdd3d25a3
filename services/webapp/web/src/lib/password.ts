// Letters and digits that are not mistaken for each other when they are read out or copied by hand.
const LETTERS = 'abcdefghijkmnpqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ23456789'

/** A password that nobody guesses: 16 of 56 characters, 93 bits. */
export function suggest(random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array = (b) => crypto.getRandomValues(b)): string {
  let password = ''
  while (password.length < 16) {
    for (const byte of random(new Uint8Array(32))) {
      // the last few of 256 would make some letters likelier than others
      if (byte < 256 - (256 % LETTERS.length) && password.length < 16) password += LETTERS[byte % LETTERS.length]
    }
  }
  return password
}
