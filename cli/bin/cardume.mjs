#!/usr/bin/env node
/** `npx cardume`: installs and finds Node 26 where needed, then runs the command line in TypeScript. */
import { fileURLToPath } from 'node:url';
import { launch } from '../../tools/launch.mjs';

launch([fileURLToPath(new URL('../src/cardume.ts', import.meta.url)), ...process.argv.slice(2)]);
