/**
 * The answer to a DNS query with one question: an A record, nothing for other types, or no such name.
 * @param {Buffer} query
 * @param {(name: string, isAddressQuery: boolean) => string | undefined} addressOf the IPv4 address of a name in lower case
 * @param {number} ttlS 0 to 255
 * @returns {Buffer}
 */
export function dnsAnswer(query, addressOf, ttlS) {
  const labels = [];
  let end = 12;
  while (query[end] !== 0) {
    const length = query[end];
    labels.push(query.toString('latin1', end + 1, end + 1 + length));
    end += length + 1;
  }
  const question = query.subarray(12, end + 5);
  const isAddressQuery = query.readUInt16BE(end + 1) === 1;
  const address = addressOf(labels.join('.').toLowerCase(), isAddressQuery);
  const header = Buffer.from(query.subarray(0, 12));
  header.writeUInt16BE(address ? 0x8580 : 0x8583, 2);
  header.fill(0, 4);
  header.writeUInt16BE(1, 4);
  if (!address || !isAddressQuery) return Buffer.concat([header, question]);
  header.writeUInt16BE(1, 6);
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttlS, 0, 4, ...address.split('.').map(Number)]);
  return Buffer.concat([header, question, record]);
}
