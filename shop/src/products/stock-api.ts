/** Stock in the public API: staff receive it, see it in all regions, and move it between them. */
import { parseId } from 'cardume/base/id';
import { type Operation, operation } from 'cardume/gateway/operation';
import { Type } from 'typebox';
import { asked, told } from '../contracts/asked.ts';
import { invalid } from '../contracts/faults.ts';
import { existing } from '../contracts/ownership.ts';
import { knownRegion } from '../contracts/regions.ts';
import { ById, Id, Region, StockQuantity } from '../contracts/schemas.ts';
import { stockId, WriteOffReason } from '../contracts/stock.ts';
import { frozenNow, spendable } from './frozen.ts';
import { forSale, products } from './product.ts';
import { rights, stocks } from './stock.ts';

const Count = Type.Integer({ minimum: 0 });
const counts = {
  /** Came into the region from outside. */
  received: Count,
  /** What the region may sell, has promised or has sold: available, reserved, sold and frozen. */
  rights: Count,
  available: Count,
  reserved: Count,
  sold: Count,
  /** The region was lost: nobody sells it until it is back, or somebody writes it off. */
  frozen: Count,
  /** Sent to another region and not yet known to be received. */
  in_transit: Count,
};
const names = Object.keys(counts) as (keyof typeof counts)[];

const receive = operation({
  id: 'stock.receive',
  method: 'POST',
  path: '/products/{id}/stock',
  summary: 'Receive stock in a region',
  access: 'staff',
  idempotent: true,
  params: ById,
  body: Type.Object({ region: Region, quantity: StockQuantity }),
  replies: { 201: Type.Object({ product: Id, region: Region, quantity: StockQuantity }) },
  place({ params: { id }, body: { region } }, { geography }) {
    parseId(id, 'prd');
    return parseId(stockId(geography, knownRegion(geography, region, '/body/region'), id));
  },
  async handle({ params: { id }, body: { region, quantity } }, context) {
    const { bus, geography } = context;
    await forSale(id, bus);
    const stock = stockId(geography, region, id);
    const answer = await bus.send(stocks, stock, { type: 'Receive', quantity }, asked(context));
    return { status: 201, body: { product: id, region, quantity }, ...told(answer, context) };
  },
});

const overview = operation({
  id: 'stock.overview',
  method: 'GET',
  path: '/products/{id}/stock',
  summary: 'Stock of a product in every region',
  access: 'staff',
  params: ById,
  replies: {
    200: Type.Object({
      regions: Type.Array(Type.Object({ region: Region, ...counts })),
      total: Type.Object(counts),
    }),
  },
  async handle({ params: { id } }, { bus, geography }) {
    parseId(id, 'prd');
    existing(await bus.load(products, id), id);
    const regions = await Promise.all(
      geography.regions.map(async (region) => {
        const found = await bus.load(stocks, stockId(geography, region, id));
        const { state } = found;
        const { received, reserved, sold } = state;
        const in_transit = [...state.inTransit.values()].reduce((sum, quantity) => sum + quantity, 0);
        const available = spendable(state, found);
        const frozen = frozenNow(state, found);
        return { region, received, rights: rights(state), available, reserved, sold, frozen, in_transit };
      }),
    );
    const total = Object.fromEntries(
      names.map((name) => [name, regions.reduce((sum, region) => sum + region[name], 0)]),
    ) as Record<keyof typeof counts, number>;
    return { status: 200, body: { regions, total } };
  },
});

const transfer = operation({
  id: 'stock.transfer',
  method: 'POST',
  path: '/products/{id}/stock/transfers',
  summary: 'Move rights to sell from one region to another',
  description:
    'The giver is debited before the reply, the receiver is credited right after: see `in_transit`.',
  access: 'staff',
  failures: ['insufficient-stock'],
  idempotent: true,
  params: ById,
  body: Type.Object({ from: Region, to: Region, quantity: StockQuantity }),
  replies: {
    202: Type.Object({ transfer: Id, product: Id, from: Region, to: Region, quantity: StockQuantity }),
  },
  place({ params: { id }, body: { from } }, { geography }) {
    parseId(id, 'prd');
    return parseId(stockId(geography, knownRegion(geography, from, '/body/from'), id));
  },
  async handle({ params: { id }, body: { from, to, quantity } }, context) {
    const { bus, geography, newId } = context;
    if (knownRegion(geography, to, '/body/to') === from)
      throw invalid('/body/to', 'expected another region than `from`');
    existing(await bus.load(products, id), id);
    const giver = stockId(geography, from, id);
    const receiver = stockId(geography, to, id);
    const command = {
      type: 'SendTransfer',
      transfer: newId('trf', parseId(giver)),
      to: receiver,
      quantity,
    } as const;
    const answer = await bus.send(stocks, giver, command, asked(context));
    const sent = answer.result as { readonly transfer: string };
    return { status: 202, body: { ...sent, product: id, from, to, quantity }, ...told(answer, context) };
  },
});

const writeOff = operation({
  id: 'stock.writeOff',
  method: 'POST',
  path: '/products/{id}/stock/write-offs',
  summary: 'Write off what is frozen, of a region that will not come back',
  description:
    'All that is frozen: it is sold by nobody any more. The region that comes back does not get it back.',
  access: 'staff',
  failures: ['conflict'],
  idempotent: true,
  params: ById,
  body: Type.Object({ region: Region, reason: WriteOffReason }),
  replies: { 201: Type.Object({ product: Id, region: Region, quantity: StockQuantity }) },
  place({ params: { id }, body: { region } }, { geography }) {
    parseId(id, 'prd');
    return parseId(stockId(geography, knownRegion(geography, region, '/body/region'), id));
  },
  async handle({ params: { id }, body: { region, reason } }, context) {
    const { bus, geography, principal } = context;
    existing(await bus.load(products, id), id);
    const stock = stockId(geography, region, id);
    const by = principal.id;
    const answer = await bus.send(stocks, stock, { type: 'WriteOff', reason, by }, asked(context));
    const { quantity } = answer.result as { readonly quantity: number };
    return { status: 201, body: { product: id, region, quantity }, ...told(answer, context) };
  },
});

export const stockOperations: readonly Operation[] = [receive, overview, transfer, writeOff];
