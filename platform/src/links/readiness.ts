/** What the address in front of the regions asks each of them. 200: ready. */
export const READY_PATH = '/health/ready';
/** In its answer: `no` when whatever is written there has to wait, since the region holds no lease. */
export const WRITES_HEADER = 'cardume-writes';
