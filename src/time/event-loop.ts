/**
 * The event loop, as it was when this module was loaded. Test runners replace these functions for a while (fake timers);
 * a timer that a producer set on a fake one never fires, and one clock serves all producers of the process. So producers
 * run on real time, whatever is faked later. `Date.now` is not among them: it is read per call, and shows a faked date.
 */
export const { setTimeout, clearTimeout, setImmediate, queueMicrotask } = globalThis
export const nextTick: (call: () => void) => void = process.nextTick.bind(process)
/** Milliseconds from an arbitrary start; never goes back. */
export const monotonicNow: () => number = performance.now.bind(performance)
