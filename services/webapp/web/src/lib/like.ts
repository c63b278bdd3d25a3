/** A LIKE pattern that only this text matches: filters of users and projects are patterns, and `_` stands for any character. */
export function exactly(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}
