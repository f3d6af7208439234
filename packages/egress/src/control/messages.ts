import { type Static, type TSchema, Type } from 'typebox';
import { Compile } from 'typebox/compile';

const text = (maxLength: number) => Type.String({ maxLength });
const optional = <S extends TSchema>(schema: S) => Type.Optional(schema);
const id = Type.Integer({ minimum: 0 });
const strings = Type.Array(Type.String());

const sandbox = Type.Object({
  ...{ address: Type.String(), teamId: Type.String(), sandboxId: Type.String() },
  ...{ executionId: Type.String(), templateId: Type.String(), buildId: Type.String() },
  workloadTokens: Type.Array(Type.Object({ name: Type.String(), audience: Type.String() })),
  policy: Type.Object({
    allowInternetAccess: optional(Type.Boolean()),
    ...{ allowOut: strings, denyOut: strings, learning: Type.Boolean() },
    rules: Type.Array(
      Type.Object({ domain: Type.String(), headers: Type.Record(Type.String(), Type.String()) }),
    ),
    proxy: optional(
      Type.Object({
        ...{ address: Type.String(), username: optional(Type.String()), password: optional(Type.String()) },
      }),
    ),
  }),
});

/** What the gateway is told. Each with an id is answered by `done`, in order. */
const toGateway = Type.Union([
  Type.Object({ type: Type.Literal('start'), nameservers: optional(strings) }),
  Type.Object({ type: Type.Literal('set'), id, sandbox }),
  Type.Object({ type: Type.Literal('remove'), id, address: Type.String() }),
  /** Every sandbox is known that was there before: it may accept connections. */
  Type.Object({ type: Type.Literal('listen'), id }),
  /** To an `ask`; without either, there is no such thing. */
  Type.Object({
    ...{ type: Type.Literal('answer'), id, failed: optional(Type.Boolean()) },
    ...{ value: optional(Type.String()), version: optional(Type.Integer()) },
  }),
]);
export type ToGateway = Static<typeof toGateway>;

const verdict = Type.Object({
  ...{ teamId: text(100), sandboxId: text(100), executionId: text(100), templateId: text(100) },
  ...{ buildId: text(100), firstSeenMs: Type.Number(), lastSeenMs: Type.Number() },
  protocol: Type.Literal('tcp'),
  destinationIp: text(15),
  destinationPort: Type.Integer({ minimum: 0, maximum: 65535 }),
  ...{ serverName: optional(text(253)), rule: optional(text(300)), matchType: text(20) },
  decision: Type.Union([Type.Literal('allowed'), Type.Literal('denied')]),
  connections: Type.Integer({ minimum: 1 }),
});

/** What the gateway says. It reads strangers' bytes: what it says is checked as theirs would be. */
const fromGateway = Type.Union([
  Type.Object({ type: Type.Literal('done'), id }),
  Type.Object({ type: Type.Literal('verdicts'), batch: Type.Array(verdict, { maxItems: 1000 }) }),
  Type.Object({
    ...{
      type: Type.Literal('ask'),
      id,
      about: Type.Union([Type.Literal('secret'), Type.Literal('token'), Type.Literal('certificate')]),
    },
    /** The team of a secret, the address of the sandbox that a token is for, the domain of a certificate; and its public key. */
    ...{ of: text(253), name: text(1000) },
  }),
  Type.Object({ type: Type.Literal('failure'), message: text(4000) }),
]);
export type FromGateway = Static<typeof fromGateway>;

export const toGatewayMessage = Compile(toGateway);
export const fromGatewayMessage = Compile(fromGateway);
