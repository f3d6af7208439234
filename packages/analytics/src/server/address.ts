/** Where a server is, and as whom. */
export interface ServerAddress {
  /** Without user, password and database. */
  url: string;
  username: string;
  password: string;
  database: string;
}

/** Of what an Islet keeps, if its address names no other. */
const DATABASE = 'islet';

/**
 * The parts of `http[s]://[user[:password]@]host[:port][/database]`.
 * @throws RangeError that says what is wrong, without the text, which may hold a password
 */
export function parseServerAddress(text: string): ServerAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (!url || !['http:', 'https:'].includes(url.protocol)) {
    throw new RangeError(
      'must be an http:// or https:// address: the port of ClickHouse is 8123, or 8443 with TLS',
    );
  }
  if (url.search !== '' || url.hash !== '') {
    throw new RangeError('must hold nothing behind the database: no settings');
  }
  const database = decodeURIComponent(url.pathname.slice(1)) || DATABASE;
  if (!/^[A-Za-z_][A-Za-z0-9_]{0,63}$/.test(database)) {
    throw new RangeError('must name a database of letters, digits and underscores');
  }
  return {
    url: url.origin,
    username: decodeURIComponent(url.username) || 'default',
    password: decodeURIComponent(url.password),
    database,
  };
}
