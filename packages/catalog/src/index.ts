export type { Catalog, CatalogEntry, Sandbox } from './catalog.ts';
export { createMemoryCatalog } from './memory.ts';
