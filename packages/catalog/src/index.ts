export {
  type Catalog,
  type CatalogEntry,
  compareNewestFirst,
  type Position,
  positionOf,
  type Sandbox,
} from './catalog.ts';
export { createMemoryCatalog } from './memory.ts';
