import { type TSchema, Type } from 'typebox';
import { cappedTextMap, KIB, named } from '../http/caps.ts';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

const dateTime = () => Type.String({ format: 'date-time' });
const textMap = () => Type.Record(Type.String(), Type.String());

/** Listed with every sandbox, and kept as long as it. */
const Metadata = cappedTextMap({ entries: 256, keyLength: 256, valueLength: 8 * KIB, bytes: 16 * KIB });

/** Linux passes a program no variable longer than 128 KiB. */
const EnvVars = cappedTextMap({ entries: 1024, keyLength: 256, valueLength: 64 * KIB, bytes: 128 * KIB });

const MOST_ADDRESSES = 1000;
const MOST_TOKENS = 100;
/** More than may be mounted: that has a message of its own. */
const MOST_MOUNTS = 100;
/** Addresses, and host names. */
const HOST_LENGTH = 255;
const host = () => Type.String({ maxLength: HOST_LENGTH });
const map = <T extends TSchema>(value: T, most: number) =>
  Type.Record(Type.String(), value, {
    maxProperties: most,
    propertyNames: { type: 'string', maxLength: HOST_LENGTH },
  });

export const ErrorShape = Type.Object({
  code: Type.Integer({ description: 'Equals the HTTP status' }),
  message: Type.String(),
  error_code: Type.Optional(Type.String({ description: 'For programs; not a closed set' })),
});

/** An answer without a body. */
export const NoContent = Type.Unsafe<undefined>({ type: 'null' });

/** Seconds that fit what clients send: a 32-bit integer. */
export const Seconds = Type.Integer({ minimum: 0, maximum: 2_147_483_647, format: 'int32' });

/** More than may be given: that has messages of its own. */
const RULES = { entries: 100, rules: 10, keyLength: KIB, valueLength: 8 * KIB };
const ruleMap = <T extends TSchema>(value: T) =>
  Type.Record(Type.String(), value, {
    maxProperties: RULES.entries,
    propertyNames: { type: 'string', maxLength: RULES.keyLength },
  });

const NetworkRule = Type.Object({
  transform: Type.Optional(
    Type.Object({
      headers: Type.Optional(ruleMap(Type.String({ maxLength: RULES.valueLength }))),
    }),
  ),
});

const addresses = () => Type.Array(host(), { maxItems: MOST_ADDRESSES });

/** Of the proxy's user; more than may be said, which has messages of its own. */
const proxyText = () => Type.Optional(named());

const ruleFields = {
  allowOut: Type.Optional(addresses()),
  denyOut: Type.Optional(addresses()),
  learning: Type.Optional(
    Type.Boolean({ description: 'Allow everything and record it, to have rules suggested; of Islet' }),
  ),
  rules: Type.Optional(nullable(ruleMap(Type.Array(NetworkRule, { maxItems: RULES.rules })))),
};

const egressFields = {
  ...ruleFields,
  egressProxy: Type.Optional(
    nullable(Type.Object({ address: proxyText(), username: proxyText(), password: proxyText() })),
  ),
};

const ingressFields = {
  allowPublicTraffic: Type.Optional(Type.Boolean()),
  maskRequestHost: Type.Optional(named()),
};

export const NetworkConfig = Type.Object({ ...egressFields, ...ingressFields });

/** As it is shown: nobody gets a password back. */
const NetworkShape = Type.Object({
  ...ruleFields,
  ...ingressFields,
  egressProxy: Type.Optional(Type.Object({ address: Type.String(), username: Type.Optional(Type.String()) })),
});

export const NetworkUpdate = Type.Object({
  ...egressFields,
  allow_internet_access: Type.Optional(Type.Boolean()),
});

const createFields = {
  templateID: named({ description: '[namespace/]alias[:tag], or a template id' }),
  autoPause: Type.Boolean({ default: false }),
  autoPauseMemory: Type.Boolean({ default: true }),
  autoResume: Type.Optional(Type.Object({ enabled: Type.Boolean() })),
  allow_internet_access: Type.Optional(Type.Boolean()),
  network: Type.Optional(NetworkConfig),
  metadata: Type.Optional(Metadata),
  envVars: Type.Optional(EnvVars),
  iam: Type.Optional(
    Type.Object({
      tokens: Type.Optional(
        map(
          Type.Object({ audience: Type.Optional(named()), tokenType: Type.Optional(named()) }),
          MOST_TOKENS,
        ),
      ),
    }),
  ),
  volumeMounts: Type.Optional(
    Type.Array(Type.Object({ name: named(), path: Type.String({ maxLength: 4 * KIB }) }), {
      maxItems: MOST_MOUNTS,
    }),
  ),
};

export const NewSandbox = Type.Object({
  ...createFields,
  timeout: Type.Integer({ ...Seconds, default: 15 }),
  secure: Type.Optional(
    Type.Boolean({ description: 'Absent: false, unless the operator chose otherwise (--secure-by-default)' }),
  ),
});

export const NewSandboxV2 = Type.Object({
  ...createFields,
  timeout: Type.Integer({ ...Seconds, default: 300 }),
});

const identity = {
  templateID: Type.String(),
  sandboxID: Type.String(),
  clientID: Type.String({ deprecated: true }),
  envdVersion: Type.String(),
  alias: Type.Optional(Type.String()),
};

export const SandboxShape = Type.Object({
  ...identity,
  envdAccessToken: Type.Optional(Type.String()),
  trafficAccessToken: nullable(Type.String()),
  domain: nullable(Type.String()),
});

const listed = {
  ...identity,
  startedAt: dateTime(),
  endAt: dateTime(),
  cpuCount: Type.Integer(),
  memoryMB: Type.Integer(),
  diskSizeMB: Type.Integer(),
  state: Type.Union([Type.Literal('running'), Type.Literal('paused')]),
  metadata: Type.Optional(textMap()),
  volumeMounts: Type.Array(Type.Object({ name: Type.String(), path: Type.String() })),
};

export const ListedSandbox = Type.Object(listed);

export const SandboxDetail = Type.Object({
  ...listed,
  envdAccessToken: Type.Optional(Type.String()),
  allowInternetAccess: nullable(Type.Boolean()),
  domain: nullable(Type.String()),
  network: NetworkShape,
  lifecycle: Type.Object({
    autoResume: Type.Boolean(),
    onTimeout: Type.Union([Type.Literal('kill'), Type.Literal('pause')]),
  }),
});

export const SandboxParams = Type.Object({ sandboxID: Type.String() });
