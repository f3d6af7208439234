export { type ClickHouseOptions, type ClickHouseStores, migrateClickHouse, openClickHouse } from './open.ts';
export { parseServerAddress, type ServerAddress } from './server/address.ts';
export { ServerException, ServerUnreachable } from './server/errors.ts';
