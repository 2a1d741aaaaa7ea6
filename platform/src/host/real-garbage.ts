/** Memory that a start leaves behind: sources, and objects of loading. V8 collects it when memory is asked for, and who idles asks for none. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** A start takes two seconds, or a few more beside others. */
const AFTER_MS = 10_000;

/** Collects it once, in this thread: 10 to 30 ms. V8 gives the pages back some 25 s later, a fifth of a region's memory. */
export function collectAfterStart(afterMs = AFTER_MS): void {
  setTimeout(() => {
    setFlagsFromString('--expose-gc');
    (runInNewContext('gc') as () => void)();
  }, afterMs).unref();
}
