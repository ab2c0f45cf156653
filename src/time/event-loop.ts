/**
 * The event loop, as it was when this module was loaded. Test runners replace these functions for a while (fake timers);
 * a timer that a producer set on a fake one never fires, and one clock serves all producers of the process. So producers
 * run on real time, whatever is faked later. `Date.now` is not among them: it is read per call, and shows a faked date.
 *
 * The timers are those of Node's module: in a jsdom environment the global ones are the window's, whose timers have no
 * `unref`, and there is no `setImmediate`.
 */
import timers from 'node:timers'

export const { setTimeout, clearTimeout, setImmediate } = timers
export const { queueMicrotask } = globalThis
export const nextTick: (call: () => void) => void = process.nextTick.bind(process)
/** Milliseconds from an arbitrary start; never goes back. */
export const monotonicNow: () => number = performance.now.bind(performance)
