/** The topology that `npm start` runs: three regions on this machine, one instance each, behind one edge. */
import { defineTopology } from 'cardume/topology';

const countries = (text: string): string[] => text.trim().split(/\s+/);

export default defineTopology({
  name: 'cardume',
  regions: {
    'us-east': {
      code: 1,
      host: '127.0.0.1',
      port: 8081,
      peerPort: 9081,
      // North, Central and South America and the Caribbean.
      countries: countries(`
        AG AI AR AW BB BL BM BO BQ BR BS BZ CA CL CO CR CU CW DM DO EC FK GD GF GL GP GT GY HN HT JM KN KY LC MF MQ
        MS MX NI PA PE PM PR PY SR SV SX TC TT US UY VC VE VG VI`),
    },
    'us-west': {
      code: 2,
      host: '127.0.0.1',
      port: 8082,
      peerPort: 9082,
      // East and South-East Asia, Australia and the Pacific: their cables land on America's west coast.
      countries: countries(`
        AS AU BN CC CK CN CX FJ FM GU HK ID JP KH KI KP KR LA MH MM MN MO MP MY NC NF NR NU NZ PF PG PH PN PW SB SG
        TH TK TL TO TV TW UM VN VU WF WS`),
    },
    'eu-west': {
      code: 3,
      host: '127.0.0.1',
      port: 8083,
      peerPort: 9083,
      // Europe by name, and whoever no region lists: Africa, the Middle East, Central and South Asia.
      countries: countries(`
        AD AL AT AX BA BE BG BY CH CY CZ DE DK EE ES FI FO FR GB GG GI GR HR HU IE IM IS IT JE LI LT LU LV MC MD ME
        MK MT NL NO PL PT RO RS SE SI SJ SK SM TR UA VA XK
        *`),
    },
  },
  services: {
    // Claims on e-mails and product codes live in the global spaces; an order belongs to one region.
    users: { partitions: 16, globalPartitions: 16, shards: 1 },
    products: { partitions: 16, globalPartitions: 16, shards: 1 },
    orders: { partitions: 16, globalPartitions: 0, shards: 2 },
  },
  instances: { services: ['users', 'products', 'orders'] },
  edge: {
    host: '127.0.0.1',
    port: 8080,
    // .test is nobody's (RFC 6761). All regions are this machine, so ask for TXT: it names the region.
    dns: { port: 8053, zone: 'cardume.test', name: 'shop', policy: 'latency', ttlS: 5 },
  },
  // What regions agree on: who may write, and who is home to what. `npx cardume regions` shows it.
  coordinator: { engine: 'embedded', host: '127.0.0.1', port: 9080 },
  engines: { log: 'sqlite' },
  data: '.cardume',
  bounds: {
    batchEntriesMax: 4_096,
    queueEntriesMax: 50_000,
    writerThreadsMax: 1,
    readerThreadsMax: 1,
    readDeadlineMs: 5_000,
    aggregatesCachedMax: 50_000,
    snapshotEveryEvents: 256,
    processesOpenMax: 100_000,
    bodyBytesMax: 2 * 1024 * 1024,
    requestTimeoutMs: 15_000,
    drainTimeoutMs: 4_000,
    peerTimeoutMs: 5_000,
    peerRequestsMax: 10_000,
    passwordQueueMax: 100,
    tokensCachedMax: 20_000,
    idempotencyDays: 30,
    // Per caller (principal, or address without one). A load generator on this machine is one caller, so it is
    // 100,000 a second here; on the internet 600 is a better beginning.
    requestsPerMinute: 6_000_000,
    subscribersMax: 10_000,
  },
});
