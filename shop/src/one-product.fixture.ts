/** A cluster with one product that has stock in a region, and a customer who lives there. */
import { type Cluster, type ClusterOptions, startCluster } from './cluster.fixture.ts';

export interface OneProduct {
  readonly cluster: Cluster;
  readonly product: string;
  /** The customer's. */
  readonly token: string;
}

export async function startWithOneProduct(region: string, options: ClusterOptions = {}): Promise<OneProduct> {
  const cluster = await startCluster(options);
  const { staff } = cluster;
  const body = { sku: 'COD', name: 'Cod', category: 'fish', price: { amount: '2.55', currency: 'GBP' } };
  const product = (await cluster.done(region, 'POST', '/products', { token: staff, body })).id;
  const received = { region, quantity: 100_000 };
  await cluster.done(region, 'POST', `/products/${product}/stock`, { token: staff, body: received });
  const person = { name: 'Ana', country: 'GB' };
  const { id } = await cluster.done(region, 'POST', '/users', { token: staff, body: person });
  return { cluster, product, token: cluster.tokenOf({ id, role: 'customer' }) };
}
