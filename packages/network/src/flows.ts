import { Type } from 'typebox';
import { Value } from 'typebox/value';

/** Connections that one sandbox began with one destination, without the gateway. */
export interface Flow {
  /** Of the sandbox. */
  source: string;
  destination: string;
  protocol: 'tcp' | 'udp';
  /** 0 to 65535. */
  port: number;
  /** How often since it was first seen; what was dropped is counted by its packets. */
  count: number;
}

/** As /etc/protocols has them; numbers do not depend on that file. */
const PROTOCOLS: Record<number, Flow['protocol']> = { 6: 'tcp', 17: 'udp' };

const Key = Type.Tuple([
  Type.String(),
  Type.String(),
  Type.Integer(),
  Type.Integer({ minimum: 0, maximum: 65_535 }),
]);
const Element = Type.Object({
  elem: Type.Object({
    val: Type.Object({ concat: Key }),
    counter: Type.Object({ packets: Type.Integer({ minimum: 0 }) }),
  }),
});
const Listing = Type.Object({
  nftables: Type.Array(
    Type.Object({ set: Type.Optional(Type.Object({ elem: Type.Optional(Type.Array(Element)) })) }),
  ),
});

/** The elements of a set of flows, as `nft -j -n list set` prints it. @throws AssertError if it prints something else */
export function parseFlows(json: string): Flow[] {
  const { nftables } = Value.Parse(Listing, JSON.parse(json));
  return nftables
    .flatMap(({ set }) => set?.elem ?? [])
    .flatMap(({ elem: { val, counter } }) => {
      const [source, destination, number, port] = val.concat;
      const protocol = PROTOCOLS[number];
      return protocol ? [{ source, destination, protocol, port, count: counter.packets }] : [];
    });
}
