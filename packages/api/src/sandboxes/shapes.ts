import { Type } from 'typebox';

const nullable = <T extends Parameters<typeof Type.Union>[0][number]>(schema: T) =>
  Type.Union([schema, Type.Null()]);

const dateTime = () => Type.String({ format: 'date-time' });
const textMap = () => Type.Record(Type.String(), Type.String());

export const ErrorShape = Type.Object({
  code: Type.Integer({ description: 'Equals the HTTP status' }),
  message: Type.String(),
  error_code: Type.Optional(Type.String({ description: 'For programs; not a closed set' })),
});

/** An answer without a body. */
export const NoContent = Type.Unsafe<undefined>({ type: 'null' });

/** Seconds that fit what clients send: a 32-bit integer. */
export const Seconds = Type.Integer({ minimum: 0, maximum: 2_147_483_647, format: 'int32' });

const NetworkRule = Type.Object({
  transform: Type.Optional(Type.Object({ headers: Type.Optional(textMap()) })),
});

const addresses = () => Type.Array(Type.String(), { maxItems: 1000 });

const egressFields = {
  allowOut: Type.Optional(addresses()),
  denyOut: Type.Optional(addresses()),
  egressProxy: Type.Optional(
    Type.Object({
      address: Type.Optional(Type.String()),
      username: Type.Optional(Type.String()),
      password: Type.Optional(Type.String()),
    }),
  ),
  rules: Type.Optional(Type.Record(Type.String(), Type.Array(NetworkRule))),
};

export const NetworkConfig = Type.Object({
  ...egressFields,
  allowPublicTraffic: Type.Optional(Type.Boolean()),
  maskRequestHost: Type.Optional(Type.String()),
});

export const NetworkUpdate = Type.Object({
  ...egressFields,
  allow_internet_access: Type.Optional(Type.Boolean()),
});

const createFields = {
  templateID: Type.String({ description: '[namespace/]alias[:tag], or a template id' }),
  autoPause: Type.Boolean({ default: false }),
  autoPauseMemory: Type.Boolean({ default: true }),
  autoResume: Type.Optional(Type.Object({ enabled: Type.Boolean() })),
  allow_internet_access: Type.Optional(Type.Boolean()),
  network: Type.Optional(NetworkConfig),
  metadata: Type.Optional(textMap()),
  envVars: Type.Optional(textMap()),
  mcp: Type.Optional(nullable(Type.Record(Type.String(), Type.Unknown()))),
  iam: Type.Optional(
    Type.Object({
      tokens: Type.Optional(
        Type.Record(Type.String(), Type.Object({ audience: Type.String(), tokenType: Type.String() })),
      ),
    }),
  ),
  volumeMounts: Type.Optional(Type.Array(Type.Object({ name: Type.String(), path: Type.String() }))),
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
  network: NetworkConfig,
  lifecycle: Type.Object({
    autoResume: Type.Boolean(),
    onTimeout: Type.Union([Type.Literal('kill'), Type.Literal('pause')]),
  }),
});

export const SandboxParams = Type.Object({ sandboxID: Type.String() });
