import type { Socket } from 'node:net';
import type { Credentials } from '../credentials.ts';
import type { CompiledPolicy, Decision, Destination } from '../decision/decide.ts';
import { DialError } from '../dial/dial-error.ts';
import type { Dialer, Route } from '../dial/dialer.ts';
import type { EgressPolicy, EgressProxy, TransformRule } from '../policy.ts';
import { ClientHelloReader } from '../sniff/client-hello.ts';
import type { RequestHead } from '../sniff/request-head.ts';
import { RequestStream } from '../sniff/request-stream.ts';
import type { UsedSecret } from '../transform/header-values.ts';
import type { Transform } from '../transform/transform.ts';
import type { Judged, VerdictTable } from '../verdicts/verdict-table.ts';
import { firstRead } from './first-read.ts';
import type { SandboxGate } from './gate.ts';
import { HttpRequests, type RequestFate } from './http-requests.ts';
import type { Place } from './places.ts';
import { pump } from './pump.ts';

const [HTTP_PORT, HTTPS_PORT] = [80, 443];

export interface ConnectionParts {
  dialer: Dialer;
  verdicts: VerdictTable;
  transform: Transform;
  credentials: Credentials;
  /** What failed that should not have. */
  onFailure: (error: unknown) => void;
}

/** What was read of a connection before it was decided. */
interface Begin {
  name: string | undefined;
  kind: Destination['kind'];
  /** All of it, to be passed on as it is. */
  bytes: Buffer;
  /** The first request, if it is one. */
  request?: { head: RequestHead; bytes: Buffer; stream: RequestStream } | undefined;
}

/** Why the connection is allowed, to be looked at again when the policy changes. */
interface Permission {
  route: Route;
  /** Its name is not enough: what it sends is not told apart, or its name is not allowed. */
  needsAddress: boolean;
  rule: TransformRule | undefined;
}

/** One connection of a sandbox, from its first byte to its last. */
export class Connection {
  readonly #client: Socket;
  readonly #gate: SandboxGate;
  readonly #place: Place;
  readonly #parts: ConnectionParts;
  readonly #abort = new AbortController();
  /** What the sandbox dialled. */
  readonly #address: string;
  readonly #port: number;
  readonly #upstreams = new Set<Socket>();
  #permission: Permission | undefined;

  constructor(client: Socket, gate: SandboxGate, place: Place, parts: ConnectionParts) {
    this.#client = client;
    this.#gate = gate;
    this.#place = place;
    this.#parts = parts;
    this.#address = client.localAddress ?? '';
    this.#port = client.localPort ?? 0;
    client.on('error', () => undefined);
    client.once('close', () => {
      if (this.#upstreams.size === 0) this.#abort.abort();
    });
  }

  /** Serves it until its sockets are closed. */
  async serve(): Promise<void> {
    try {
      await this.#serve();
    } catch (error) {
      if (!this.#abort.signal.aborted) this.#onFailure(error);
      this.cut();
    }
  }

  /** Ends it at once. */
  cut(): void {
    this.#abort.abort();
    this.#client.resetAndDestroy();
    for (const upstream of this.#upstreams) upstream.resetAndDestroy();
  }

  /** Cuts it if a new policy of its sandbox does not allow it as it is. */
  review(policy: CompiledPolicy): void {
    if (this.#permission && !this.#isAllowedBy(policy, this.#permission)) this.cut();
  }

  async #serve(): Promise<void> {
    const begin = await this.#readBegin();
    if (this.#abort.signal.aborted || this.#client.destroyed) return;
    const decision = this.#judge(begin.name, begin.kind);
    if (decision.decision === 'denied') return this.cut();

    const { policy } = this.#gate.compiled;
    const rule = ruleFor(begin.name, policy);
    const isByName = decision.matchType === 'domain';
    const route: Route = {
      to: begin.name !== undefined && (isByName || rule) ? { name: begin.name } : { address: this.#address },
      port: this.#port,
      proxy: policy.proxy,
      // The name of a rule is no permission: where it leads must be allowed itself.
      mayReach: isByName ? undefined : (address) => this.#isAllowed(address, this.#gate.compiled),
    };
    this.#permission = { route, needsAddress: !isByName, rule };
    if (rule) return this.#transform(begin, route, rule);

    const upstream = await this.#dial(route);
    if (this.#abort.signal.aborted) return;
    this.#place.settle();
    this.#relay(upstream, begin);
  }

  async #readBegin(): Promise<Begin> {
    if (this.#port === HTTPS_PORT) return this.#readHello();
    if (this.#port === HTTP_PORT) return this.#readRequest();
    return { name: undefined, kind: 'none', bytes: Buffer.alloc(0) };
  }

  async #readHello(): Promise<Begin> {
    const reader = new ClientHelloReader();
    let name: string | undefined;
    await this.#firstRead((piece) => {
      const reading = reader.push(piece);
      if (reading.is === 'hello') name = reading.name;
      return reading.is !== 'more';
    });
    return { name, kind: name === undefined ? 'none' : 'tls', bytes: reader.bytes };
  }

  async #readRequest(): Promise<Begin> {
    const stream = new RequestStream();
    let begin: Begin | undefined;
    await this.#firstRead((piece) => {
      stream.push(piece);
      const part = stream.next();
      if (part?.is === 'head') {
        const { name } = part.head;
        const bytes = Buffer.concat([part.bytes, stream.held]);
        begin = { name, kind: 'http', bytes, request: { head: part.head, bytes: part.bytes, stream } };
      } else if (part) begin = { name: undefined, kind: 'none', bytes: part.bytes };
      return begin !== undefined;
    });
    return begin ?? { name: undefined, kind: 'none', bytes: stream.held };
  }

  #firstRead(take: (piece: Buffer) => boolean): Promise<void> {
    const maySkip = this.#isAllowed(this.#address, this.#gate.compiled);
    return firstRead({ client: this.#client, take, maySkip, signal: this.#abort.signal });
  }

  /** Decides by the policy that is in force now, and notes it. */
  #judge(name: string | undefined, kind: Destination['kind']): Decision {
    const destination: Destination = { name, kind, address: this.#address, port: this.#port };
    const decision = this.#gate.compiled.decide(destination);
    this.#note({ name, ...decision });
    return decision;
  }

  #note(judged: Omit<Judged, 'address' | 'port'>): void {
    const { sandbox } = this.#gate;
    this.#parts.verdicts.add(sandbox, { address: this.#address, port: this.#port, ...judged });
  }

  async #transform(begin: Begin, route: Route, rule: TransformRule): Promise<void> {
    this.#place.settle();
    await this.#parts.transform({
      client: this.#client,
      head: begin.bytes,
      kind: begin.kind === 'tls' ? 'tls' : 'http',
      sandbox: this.#gate.sandbox,
      rule,
      dial: () => this.#dial(route),
      credentials: this.#parts.credentials,
      onUse: (secrets) => this.#noteUse(begin.name, rule, secrets),
      signal: this.#abort.signal,
    });
  }

  /** Which versions of which secrets went there, and no value. */
  #noteUse(name: string | undefined, { domain }: TransformRule, secrets: readonly UsedSecret[]): void {
    const used = secrets.map((secret) => `${secret.name}@${secret.version}`).join(' ');
    this.#note({
      name,
      decision: 'allowed',
      matchType: 'transform',
      rule: `${domain} ${used}`.slice(0, 300),
    });
  }

  /** @throws DialError */
  async #dial(route: Route): Promise<Socket> {
    try {
      const upstream = await this.#parts.dialer.dial(route, this.#abort.signal);
      this.#upstreams.add(upstream);
      upstream.once('close', () => this.#upstreams.delete(upstream));
      // It may have been cut just after this one was made.
      if (this.#abort.signal.aborted) upstream.resetAndDestroy();
      return upstream;
    } catch (error) {
      if (error instanceof DialError && error.failure === 'internal') {
        const name = 'name' in route.to ? route.to.name : undefined;
        this.#note({ name, decision: 'denied', matchType: 'always-denied', rule: '' });
      }
      throw error;
    }
  }

  #relay(upstream: Socket, begin: Begin): void {
    this.#joinEnds(upstream);
    const { share } = this.#gate;
    const requests = this.#requests(upstream, begin);
    if (!requests) {
      const isTaken = begin.bytes.length === 0 || upstream.write(begin.bytes);
      const up = pump(this.#client, upstream, share);
      if (!isTaken) up.hold();
      pump(upstream, this.#client, share);
      return;
    }
    const isTaken = requests.begin();
    const up = pump(this.#client, upstream, share, (piece) => requests.take(piece));
    if (!isTaken) up.hold();
    pump(upstream, this.#client, share, (piece) => {
      if (requests.look(piece)) up.ready();
      return this.#client.write(piece);
    });
    this.#client.once('close', () => requests.end());
  }

  /** Undefined if what the client sends need not be told apart. */
  #requests(upstream: Socket, { request, name }: Begin): HttpRequests | undefined {
    const { hasNames, policy } = this.#gate.compiled;
    const isTold = hasNames || policy.learning || policy.rules.length > 0;
    if (!request || request.head.isTunnel || !isTold) return undefined;
    let lastName = name;
    const judge = (head: RequestHead): RequestFate => {
      if (head.isTunnel) return this.#judgeUnread(upstream);
      const fate = this.#judgeNext(head.name, upstream, head.name === lastName);
      lastName = head.name;
      return fate;
    };
    return new HttpRequests({
      stream: request.stream,
      first: request,
      judge,
      judgeBroken: () => this.#judgeUnread(upstream),
      send: (bytes) => upstream.write(bytes),
      cut: () => this.cut(),
    });
  }

  /** A request behind the first one: to where the connection goes already, whatever the sandbox dialled. */
  #judgeNext(name: string | undefined, upstream: Socket, isKnown: boolean): RequestFate {
    const { compiled } = this.#gate;
    const rule = ruleFor(name, compiled.policy);
    if (rule) {
      this.#note({ name, decision: 'denied', matchType: 'transform', rule: rule.domain });
      return 'cut';
    }
    const byName = name === undefined ? undefined : compiled.allowsName(name);
    const decision = byName ?? this.#decideReached(upstream);
    if (!isKnown || decision.decision === 'denied') this.#note({ name, ...decision });
    return decision.decision === 'allowed' ? 'pass' : 'cut';
  }

  /** What is not told apart may go on if the connection goes to an address that is allowed whatever it asks for. */
  #judgeUnread(upstream: Socket): 'opaque' | 'cut' {
    const decision = this.#decideReached(upstream);
    if (decision.decision === 'denied') {
      this.#note({ name: undefined, ...decision });
      return 'cut';
    }
    if (this.#permission) this.#permission.needsAddress = true;
    return 'opaque';
  }

  #decideReached(upstream: Socket): Decision {
    const address = this.#reached(upstream);
    if (address !== undefined) {
      return this.#gate.compiled.decide({ kind: 'none', address, port: this.#port });
    }
    return this.#gate.compiled.policy.learning
      ? { decision: 'allowed', rule: '', matchType: 'learning' }
      : { decision: 'denied', rule: '', matchType: 'domain' };
  }

  /** The address that a connection goes to; undefined if only the owner's proxy knows it. */
  #reached(upstream: Socket): string | undefined {
    const route = this.#permission?.route;
    if (!route) return undefined;
    if ('address' in route.to) return route.to.address;
    return route.proxy ? undefined : upstream.remoteAddress;
  }

  /** One side that breaks off breaks the other one off; one that ends has ended it already. */
  #joinEnds(upstream: Socket): void {
    const client = this.#client;
    upstream.on('error', () => undefined);
    const join = (from: Socket, to: Socket) => {
      from.once('close', () => {
        const hasEnded = from.readableEnded && from.writableFinished;
        if (!hasEnded) to.resetAndDestroy();
      });
      if (from.destroyed) to.resetAndDestroy();
    };
    join(client, upstream);
    join(upstream, client);
  }

  #isAllowed(address: string, policy: CompiledPolicy): boolean {
    return policy.decide({ kind: 'none', address, port: this.#port }).decision === 'allowed';
  }

  #isAllowedBy(policy: CompiledPolicy, { needsAddress, route, rule }: Permission): boolean {
    if (!isSameProxy(route.proxy, policy.policy.proxy)) return false;
    if (rule && !policy.policy.rules.some((other) => isSameRule(rule, other))) return false;
    if ('address' in route.to) return this.#isAllowed(route.to.address, policy);
    if (!needsAddress && policy.allowsName(route.to.name)) return true;
    // It went where the name led to, which the address that the sandbox dialled says nothing about.
    const reached = [...this.#upstreams].map((upstream) => this.#reached(upstream));
    return reached.length > 0 && reached.every((at) => at !== undefined && this.#isAllowed(at, policy));
  }

  #onFailure(error: unknown): void {
    if (!(error instanceof DialError)) this.#parts.onFailure(error);
  }
}

function ruleFor(name: string | undefined, { rules }: EgressPolicy): TransformRule | undefined {
  return name === undefined ? undefined : rules.find(({ domain }) => domain === name);
}

function isSameProxy(a: EgressProxy | undefined, b: EgressProxy | undefined): boolean {
  return a?.address === b?.address && a?.username === b?.username && a?.password === b?.password;
}

function isSameRule(a: TransformRule, b: TransformRule): boolean {
  return a.domain === b.domain && JSON.stringify(a.headers) === JSON.stringify(b.headers);
}
