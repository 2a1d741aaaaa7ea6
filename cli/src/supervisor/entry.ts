/** How this command line starts processes of itself. */
import { fileURLToPath } from 'node:url';

/**
 * Under load most objects die young: a larger nursery is swept less often. It grows only when it is needed. Measured:
 * 2.15 times the baseline's orders a second with it, 2.03 without (docs/decisions/0006-one-writer-thread.md).
 */
export const NODE_FLAGS = ['--max-semi-space-size=64'];
export const ENTRY = fileURLToPath(new URL('../cardume.ts', import.meta.url));
