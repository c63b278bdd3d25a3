import { expect, it } from 'vitest'
import { Loader } from './loader'

/** A loader, and what its loads do: 'begin a', 'end a', 'abort a'; `finish` ends the one that runs. */
function watched() {
  const loader = new Loader()
  const done: string[] = []
  let finish = () => {}
  const load = (what: string, name = what) =>
    loader.load(what, async (signal) => {
      done.push(`begin ${name}`)
      signal.addEventListener('abort', () => done.push(`abort ${name}`))
      await new Promise<void>((end) => (finish = end))
      if (!signal.aborted) done.push(`end ${name}`)
    })
  const end = async () => {
    finish()
    await new Promise((next) => setTimeout(next))
  }
  return { loader, done, load, end }
}

it('what is asked for again waits for the load in flight, and is loaded once', async () => {
  const { done, load, end } = watched()
  load('june', 'first')
  for (const name of ['second', 'third', 'fourth']) load('june', name)
  expect(done).toEqual(['begin first'])
  await end()
  expect(done).toEqual(['begin first', 'end first', 'begin fourth'])
  await end()
  expect(done).toEqual(['begin first', 'end first', 'begin fourth', 'end fourth'])
})

it('something else ends the load in flight, and what was to come after it', async () => {
  const { done, load, end } = watched()
  load('june')
  load('june')
  load('july')
  await end()
  expect(done).toEqual(['begin june', 'abort june', 'begin july', 'end july'])
})

it('is stopped with all that waits, and can be used again', async () => {
  const { loader, done, load, end } = watched()
  load('june')
  load('june')
  loader.stop()
  await end()
  expect(done).toEqual(['begin june', 'abort june'])
  load('june')
  await end()
  expect(done.slice(2)).toEqual(['begin june', 'end june'])
})
