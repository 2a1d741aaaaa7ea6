/** The part of the WebAssembly JavaScript interface (W3C) that the simulation uses; our library settings have no DOM. */
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
    static imports(
      module: Module,
    ): { readonly module: string; readonly name: string; readonly kind: string }[];
  }
  class Instance {
    constructor(module: Module, imports: Record<string, Record<string, unknown>>);
    readonly exports: Record<string, unknown>;
  }
  class Memory {
    constructor(pages: { readonly initial: number; readonly maximum: number });
    readonly buffer: ArrayBuffer;
    grow(pages: number): number;
  }
  class Table {
    grow(entries: number): number;
    set(index: number, value: unknown): void;
  }
}
