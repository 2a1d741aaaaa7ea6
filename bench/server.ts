/** A script that serves HTTP in a process of its own, and prints its URL when it listens. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export interface Server {
  readonly url: string;
  stop(): Promise<void>;
}

/** @param script beside this file */
export async function startServer(script: string, ...args: readonly string[]): Promise<Server> {
  const path = fileURLToPath(new URL(script, import.meta.url));
  const child = spawn(process.execPath, [path, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const url = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim()));
    child.once('exit', (code) => reject(new Error(`${script} ended with ${code}`)));
  });
  return {
    url,
    async stop() {
      child.kill('SIGTERM');
      await ended;
    },
  };
}
