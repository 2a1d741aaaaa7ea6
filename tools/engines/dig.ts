/** `dig` of BIND: asks DNS servers. */
import { aptInstall, programOf } from './apt.ts';
import type { Program } from './engine.ts';

export const dig: Program = {
  name: 'dig',
  about: 'asks DNS servers: tests of the edge’s own',
  installed: () => programOf('dig') !== null,
  install: () => aptInstall('bind9-dnsutils'),
};
