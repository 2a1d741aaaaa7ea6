/** The command line: arguments, streams, signals and exit codes of its own process. One file a command. */

import { realHost } from 'cardume/host/real';
import { collectAfterStart } from 'cardume/host/real-garbage';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import type { DrillOptions } from './commands/drill.ts';
import type { ImportRetailOptions, ImportShell } from './commands/import-retail.ts';
import type { DecideOptions } from './commands/quarantine.ts';
import type { ReshardOptions } from './commands/reshard.ts';
import type { WriteOffOptions } from './commands/stock.ts';
import type { SwitchoverOptions } from './commands/switchover.ts';
import { FAILED, Failure, WRONG_USE } from './failure.ts';
import type { StopSignal } from './shell.ts';
import { supervision } from './supervisor/child.ts';

const shell: ImportShell = {
  host: realHost(),
  folder: process.cwd(),
  colour: process.stdout.isTTY === true && !process.env['NO_COLOR'],
  print: (text) => void process.stdout.write(`${text}\n`),
  complain: (text) => void process.stderr.write(`${text}\n`),
  onSignal(listener) {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const satisfies StopSignal[]) {
      process.on(signal, () => listener(signal));
    }
  },
  exit: (code) => process.exit(code),
  supervision: supervision(process),
  screen: process.stderr,
};

// A reader that goes away (`| head`) must not end a server: its lines are lost, the work goes on.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
  });
}

// Commands that end before it are not held up.
collectAfterStart();

let exitCode = 0;

/** Runs a command's function and keeps its exit code. */
function run<Options>(load: () => Promise<(shell: ImportShell, options: Options) => Promise<number>>) {
  return async (options: Options): Promise<void> => {
    exitCode = await (await load())(shell, options);
  };
}

function parsePort(text: string): number {
  const port = Number(text);
  if (!/^\d{1,5}$/.test(text) || port < 1 || port > 65_535)
    throw new InvalidArgumentError('expected a port from 1 to 65535.');
  return port;
}

function parseCount(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('expected a whole number of at least 1.');
  return Number(text);
}

/** Beyond it requests between regions end before they are answered. */
const ROUND_TRIP_MS_MAX = 1_000;

function parseRoundTrip(text: string): number {
  const ms = Number(text);
  if (/^\d{1,4}$/.test(text) && ms <= ROUND_TRIP_MS_MAX) return ms;
  throw new InvalidArgumentError(`expected a whole number of milliseconds, at most ${ROUND_TRIP_MS_MAX}.`);
}

const parseNames = (text: string): string[] => text.split(',').map((name) => name.trim());

const configOption = (): Option => new Option('--config <file>', 'the topology (default: cardume.config.ts)');
const dataOption = (): Option =>
  new Option('--data <folder>', "folder of the data (default: the topology's)");
const portOption = (): Option =>
  new Option('--port <port>', "port of the edge; the regions' ports move along").argParser(parsePort);
const jsonOption = (what: string): Option => new Option('--json', what);

const program = new Command('cardume')
  .description('An architecture for millions of users, on this machine.')
  .exitOverride()
  .enablePositionalOptions()
  .configureHelp({ showGlobalOptions: true })
  .showSuggestionAfterError()
  .addHelpText(
    'after',
    '\nExit codes: 0 done, 1 failed, 2 wrong use or configuration, 130 ended by a second Ctrl-C.',
  );

program
  .command('start')
  .description('Start the regions and the edge, and say what to try next.')
  .addOption(portOption())
  .addOption(dataOption())
  .addOption(configOption())
  .addOption(
    new Option('--regions <names>', 'run only these here, separated by commas').argParser(parseNames),
  )
  .addOption(new Option('--no-demo', 'leave the demonstration catalogue out'))
  .addOption(jsonOption('log lines as JSON'))
  .addHelpText(
    'after',
    `
Examples:
  npm start                                       three regions, edge on http://127.0.0.1:8080
  npm start -- --port 18080 --data /tmp/trial     a second one beside it
  npm start -- --regions us-east,eu-west          without us-west: what does the shop do?
  npm start -- --json | jq 'select(.level == "error")'`,
  )
  .action(run(async () => (await import('./commands/start.ts')).start));

program
  .command('instance')
  .description('Run one region in this process (the supervisor and containers use it).')
  .requiredOption('--region <name>', 'the region')
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addHelpText('after', '\nExample:\n  npx cardume instance --region us-east')
  .action(run(async () => (await import('./commands/instance.ts')).instance));

program
  .command('coordinator')
  .description('Run what the regions agree on in this process (the supervisor uses it).')
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addHelpText('after', '\nExample:\n  npx cardume coordinator')
  .action(run(async () => (await import('./commands/coordinator.ts')).coordinator));

program
  .command('warm', { hidden: true })
  .description('Fill the cache of compiled modules (`start` does it before its first run).')
  .addOption(configOption())
  .action(run(async () => (await import('./commands/warm.ts')).warm));

program
  .command('token')
  .description('Print an access token made with the secrets on this machine.')
  .addOption(new Option('--role <role>', 'whose rights').choices(['staff', 'customer']).makeOptionMandatory())
  .addOption(new Option('--account <id>', 'account id; needed for a customer'))
  .addOption(dataOption())
  .addOption(configOption())
  .addOption(jsonOption('with its life time'))
  .addHelpText(
    'after',
    `
Examples:
  TOKEN=$(npx cardume token --role staff)
  npx cardume token --role customer --account acc_100_01k… --json`,
  )
  .action(run(async () => (await import('./commands/token.ts')).token));

program
  .command('check-config')
  .description('Check the topology: name every fault, or what its policies of residency forfeit.')
  .addOption(configOption())
  .addOption(portOption())
  .addOption(dataOption())
  .addOption(jsonOption('what it has, as JSON'))
  .addHelpText(
    'after',
    '\nExamples:\n  npx cardume check-config\n  npx cardume check-config --config other.config.ts --json',
  )
  .action(run(async () => (await import('./commands/check-config.ts')).checkConfig));

const apiOption = (): Option =>
  new Option('--api <url>', "address of the API (default: the topology's edge)");
const tokenOption = (): Option =>
  new Option('--token <token>', 'of a staff account (default: CARDUME_TOKEN, or made on this machine)');

program
  .command('shards')
  .description('Show the shards of each region, their busy partitions, and what could be moved.')
  .addOption(new Option('--region <name>', 'only this one'))
  .addOption(new Option('--service <name>', 'only this one'))
  .addOption(apiOption())
  .addOption(tokenOption())
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addOption(jsonOption('as JSON'))
  .addHelpText(
    'after',
    '\nExamples:\n  npx cardume shards\n  npx cardume shards --region eu-west --service orders --json',
  )
  .action(run(async () => (await import('./commands/shards.ts')).shards));

const operatorOptions = (command: Command, json: string): Command =>
  command
    .addOption(apiOption())
    .addOption(tokenOption())
    .addOption(configOption())
    .addOption(dataOption())
    .addOption(portOption())
    .addOption(jsonOption(json));

const regions = operatorOptions(program.command('regions'), 'as JSON')
  .description('Show what each region is home to, and how far its copies of the others are behind.')
  .enablePositionalOptions()
  .addHelpText(
    'after',
    '\nExamples:\n  npx cardume regions\n  npx cardume regions --json\n  npx cardume regions quarantine',
  )
  .action(run(async () => (await import('./commands/regions.ts')).regions));

/** Options of the commands above it are its own, too. */
const scoped = (command: Command, json: string): Command =>
  operatorOptions(
    command
      .configureHelp({ showGlobalOptions: false })
      .addOption(new Option('--region <name>', 'only the quarantine of this one'))
      .addOption(new Option('--service <name>', 'only of this one'))
      .addOption(new Option('--partition <partition>', 'only of this one, such as 3/7')),
    json,
  );

const quarantine = scoped(regions.command('quarantine'), 'as JSON')
  .description('Show what a lost region had alone, and was cut off its copies when it came back.')
  .enablePositionalOptions()
  .addOption(new Option('--decided', 'what was decided, too'))
  .addOption(new Option('--limit <count>', 'entries at most (default: 100)').argParser(parseCount))
  .addHelpText(
    'after',
    `
Examples:
  npx cardume regions quarantine
  npx cardume regions quarantine --region us-east --service orders --decided --limit 1000 --json
  npx cardume regions quarantine resubmit --all --region us-east`,
  )
  .action(run(async () => (await import('./commands/quarantine.ts')).quarantine));

function deciding(how: DecideOptions['how'], description: string, help: string): void {
  scoped(quarantine.command(how), 'what was decided and what stays, as JSON')
    .description(description)
    .argument('[id...]', 'entries; `quarantine` lists them')
    .addOption(new Option('--all', 'all that waits for a decision in --region'))
    .addHelpText('after', help)
    .action(async (ids: readonly string[], options: Omit<DecideOptions, 'how' | 'ids'>) => {
      const { decideQuarantine } = await import('./commands/quarantine.ts');
      exitCode = await decideQuarantine(shell, { ...options, how, ids });
    });
}

deciding(
  'resubmit',
  'Append entries where their partition is at home now, each stream together, if nothing has come between.',
  `
Asked again, nothing is appended twice. An entry without an idempotency key may have been asked for again by whoever
sent it: look before you submit it.

Examples:
  npx cardume regions quarantine resubmit --all --region us-east
  npx cardume regions quarantine resubmit us-east/orders/rs-mh34-1c us-east/orders/rs-mh34-1d

Exit codes: 1 when something stays in the quarantine.`,
);
deciding(
  'discard',
  'Give entries up. They stay in the quarantine, with who gave them up.',
  `
Examples:
  npx cardume regions quarantine discard us-east/orders/rs-mh34-1c
  npx cardume regions quarantine discard --all --region us-east --service orders --partition 1/7`,
);

const stock = program
  .command('stock')
  .description('Show stock that is frozen since its region was lost, or write it off.');

operatorOptions(stock.command('frozen'), 'as JSON')
  .description('Show what is frozen, product by product, of all that are for sale.')
  .addOption(new Option('--region <name>', 'only of this one'))
  .addHelpText(
    'after',
    '\nExamples:\n  npx cardume stock frozen\n  npx cardume stock frozen --region us-east --json',
  )
  .action(run(async () => (await import('./commands/stock.ts')).frozenStock));

operatorOptions(stock.command('write-off'), 'what was written off, as JSON')
  .description('Write off what is frozen of a region that will not come back: nobody sells it any more.')
  .argument('<region>', 'that was lost')
  .addOption(new Option('--reason <text>', 'stands in the log, with who it was').makeOptionMandatory())
  .addHelpText(
    'after',
    `
Cut off half way, it goes on when it is asked for again.

Examples:
  npx cardume stock write-off us-east --reason 'flooded, 2026-11-27'`,
  )
  .action(async (region: string, options: Omit<WriteOffOptions, 'region'>) => {
    const { writeOffStock } = await import('./commands/stock.ts');
    exitCode = await writeOffStock(shell, { ...options, region });
  });

program
  .command('switchover')
  .description('Move what is at home in one region to another: nothing is lost, callers wait for a moment.')
  .argument('<from>', 'the region that gives')
  .argument('<to>', 'the region that takes')
  .addOption(new Option('--born-in <region>', 'only partitions that the topology gives to this region'))
  .addOption(apiOption())
  .addOption(tokenOption())
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addOption(jsonOption('what was moved, as JSON'))
  .addHelpText(
    'after',
    `
Examples:
  npx cardume switchover us-east us-west                        us-east can be stopped then
  npx cardume switchover us-west us-east --born-in us-east      back again`,
  )
  .action(async (from: string, to: string, options: Omit<SwitchoverOptions, 'from' | 'to'>) => {
    const { switchover } = await import('./commands/switchover.ts');
    exitCode = await switchover(shell, { ...options, from, to });
  });

program
  .command('prepare')
  .description("Build this version's read models beside those of the one that runs, before it starts.")
  .addOption(new Option('--region <name>', 'only this one'))
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addOption(jsonOption('what was built, as JSON'))
  .addHelpText(
    'after',
    '\nExamples:\n  npx cardume prepare\n  npx cardume prepare --region eu-west --data /srv/cardume',
  )
  .action(run(async () => (await import('./commands/prepare.ts')).prepare));

program
  .command('reshard')
  .description("Move a service's partitions between the shards of a region while they are used.")
  .argument('<service>', 'the service')
  .requiredOption('--region <name>', 'the region')
  .addOption(new Option('--to <count>', 'spread them over so many shards').argParser(parseCount))
  .addOption(
    new Option('--engine <engine>', 'of new shards, with --to: sqlite, mysql, or another of the topology'),
  )
  .addOption(new Option('--move <move...>', 'single partitions, such as 3/7=orders-1'))
  .addOption(new Option('--status', 'how far it is'))
  .addOption(new Option('--rollback', 'bring every partition back to where it was'))
  .addOption(new Option('--cancel', 'the same, while partitions still move'))
  .addOption(new Option('--finish', 'delete what moved partitions have left behind'))
  .addOption(new Option('--no-wait', 'begin, and do not wait for the end'))
  .addOption(apiOption())
  .addOption(tokenOption())
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addOption(jsonOption('what stands then, as JSON'))
  .addHelpText(
    'after',
    `
Examples:
  npx cardume reshard orders --region eu-west --to 4
  npx cardume reshard orders --region eu-west --rollback
  npx cardume reshard orders --region eu-west --to 2 --engine mysql    from files to the topology's server
  npx cardume reshard orders --region eu-west --move 3/7=orders-1
  npx cardume reshard orders --region eu-west --finish`,
  )
  .action(async (service: string, options: Omit<ReshardOptions, 'service'>) => {
    const { reshard } = await import('./commands/reshard.ts');
    exitCode = await reshard(shell, { ...options, service });
  });

program
  .command('drill')
  .description('Strike a platform of its own under traffic, and measure what that costs: RTO, RPO, errors.')
  .argument('[drill]', 'which one; see --list')
  .argument('[region]', 'whom it strikes (default: the first of the topology)')
  .addOption(new Option('--list', 'what there is'))
  .addOption(new Option('--all', 'every drill, one after another'))
  .addOption(new Option('--times <count>', 'run it so often').argParser(parseCount).default(1))
  .addOption(
    new Option('--seconds <count>', 'of traffic before the fault, and behind it')
      .argParser(parseCount)
      .default(5),
  )
  .addOption(new Option('--down <seconds>', 'how long the fault lasts (default: 8)').argParser(parseCount))
  .addOption(
    new Option(
      '--round-trip <ms>',
      'of all lines between regions, and to the coordinator (default: 0; 100 for switchover)',
    ).argParser(parseRoundTrip),
  )
  .addOption(
    new Option('--durability <durability>', "of all services (default: the topology's)").choices([
      'region',
      'cross-region',
    ]),
  )
  .addOption(
    new Option('--etcd <endpoints>', 'members of an etcd that coordinates: host:port,…').argParser(
      parseNames,
    ),
  )
  .addOption(new Option('--import <file>', "a retailer's orders as part of the traffic; see `import retail`"))
  .addOption(new Option('--limit <count>', 'only the first invoices of the import').argParser(parseCount))
  .addOption(
    new Option('--report <folder>', "for the page and its JSON (default: drills in the topology's data)"),
  )
  .addOption(new Option('--data <folder>', 'keep the data of the platform that was struck in this folder'))
  .addOption(configOption())
  .addOption(jsonOption('all that was measured, as JSON; progress goes to standard error'))
  .addHelpText(
    'after',
    `
It starts coordinator, regions and edge on ports and in a folder of its own: it can run beside \`npm start\`.

Examples:
  npx cardume drill --list
  npx cardume drill region-loss us-east
  npx cardume drill region-loss us-east --durability cross-region --times 3
  npx cardume drill region-loss us-east --round-trip 100
  npx cardume drill region-loss eu-west --etcd 127.0.0.1:2379 --down 20
  npx cardume drill region-loss us-east --durability cross-region --import orders.csv.gz
  npx cardume drill --all --json > drills.json

Exit codes: 1 when a bound is missed: RTO over 5 s (10 s with etcd), RPO over 1 s (0 with cross-region), a request
that failed in spite of its retries, an order that has not ended, an import that is not exact.`,
  )
  .action(
    async (
      name: string | undefined,
      region: string | undefined,
      options: Omit<DrillOptions, 'drill' | 'region'>,
    ) => {
      const { drill } = await import('./commands/drill.ts');
      exitCode = await drill(shell, { ...options, drill: name, region });
    },
  );

program
  .command('import')
  .description('Bring orders of elsewhere in.')
  .addHelpText('after', '\nExample:\n  npx cardume import retail orders.csv.gz')
  .command('retail')
  .description("Place a retailer's orders (CSV, plain or gzip) through the API; again places nothing twice.")
  .argument(
    '<file>',
    'InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice, CustomerID, Country',
  )
  .addOption(apiOption())
  .addOption(tokenOption())
  .addOption(
    new Option('--concurrency <count>', 'requests under way at once (default: 32)').argParser(parseCount),
  )
  .addOption(new Option('--limit <count>', 'only the first invoices').argParser(parseCount))
  .addOption(new Option('--report <file>', 'what was not imported, as CSV or JSON'))
  .addOption(new Option('--journal <file>', 'where the progress is kept (default: in the data folder)'))
  .addOption(new Option('--no-journal', 'keep none'))
  .addOption(configOption())
  .addOption(dataOption())
  .addOption(portOption())
  .addOption(jsonOption('the summary as JSON'))
  .addHelpText(
    'after',
    `
Examples:
  npx cardume import retail ../shared/data/online-retail-dev.csv.gz
  npx cardume import retail orders.csv --api https://shop.example --token "$TOKEN" --report rejected.csv`,
  )
  .action(
    async (
      file: string,
      options: Omit<ImportRetailOptions, 'file' | 'journal'> & { journal: string | boolean },
    ) => {
      const { importRetailCommand } = await import('./commands/import-retail.ts');
      // commander: true without either option, false for --no-journal
      const journal = options.journal === true ? undefined : options.journal;
      exitCode = await importRetailCommand(shell, { ...options, journal, file });
    },
  );

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    exitCode = error.exitCode === 0 ? 0 : WRONG_USE; // it has said what is wrong
  } else if (error instanceof Failure) {
    shell.complain(`${error.message}${error.next === '' ? '' : `\n${error.next}`}`);
    exitCode = error.exitCode;
  } else {
    shell.complain((error as Error).stack ?? String(error));
    exitCode = FAILED;
  }
}
// Timers, threads and the supervisor's channel would keep the process: the command has said that it is done.
process.exit(exitCode);
