/** Which methods each path knows: what tells 404 from 405, and fills `Allow`. Not on the hot path. */
export interface KnownPaths {
  /** @param path such as `/orders/{id}` */
  add(path: string, methods: readonly string[]): void;
  /** @param path of a request, without its query */
  find(path: string): KnownPath | undefined;
}

export interface KnownPath {
  readonly methods: ReadonlySet<string>;
  /** The `Allow` header. */
  readonly allow: string;
}

export function knownPaths(): KnownPaths {
  const byPattern = new Map<string, { readonly shape: RegExp; readonly methods: Set<string> }>();
  return {
    add(path, methods) {
      const shape = new RegExp(`^${path.replaceAll('.', '\\.').replaceAll(/\{\w+\}/g, '[^/]+')}$`);
      const known = byPattern.get(path) ?? { shape, methods: new Set<string>() };
      for (const method of methods) known.methods.add(method);
      byPattern.set(path, known);
    },
    find(path) {
      const matching = [...byPattern.values()].filter(({ shape }) => shape.test(path));
      if (matching.length === 0) return undefined;
      // `/orders/report` may be a path of its own and an order's as well.
      const methods = new Set(matching.flatMap((known) => [...known.methods]));
      return { methods, allow: [...methods, 'OPTIONS'].sort().join(', ') };
    },
  };
}
