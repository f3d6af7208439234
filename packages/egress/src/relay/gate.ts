import type { Socket } from 'node:net';
import { type Share, Turns } from '@islet/proxy';
import { type CompiledPolicy, compilePolicy } from '../decision/decide.ts';
import type { GatedSandbox } from '../policy.ts';
import { Connection, type ConnectionParts } from './connection.ts';
import { Places } from './places.ts';

/** A sandbox, its policy that is in force, and its part of the thread. */
export interface SandboxGate {
  sandbox: GatedSandbox;
  compiled: CompiledPolicy;
  readonly share: Share;
  readonly connections: Set<Connection>;
}

/** Lets sandboxes' connections through, or not. Who is not known here reaches nothing. */
export class Gate {
  readonly #parts: ConnectionParts;
  readonly #gates = new Map<string, SandboxGate>();
  readonly #places: Places;
  readonly #turns = new Turns();

  constructor(parts: ConnectionParts, places = new Places()) {
    this.#parts = parts;
    this.#places = places;
  }

  /** Puts a policy in force; connections that it does not allow as they are have been cut when this returns. */
  set(sandbox: GatedSandbox): void {
    const compiled = compilePolicy(sandbox.policy);
    const gate = this.#gates.get(sandbox.address);
    if (gate?.sandbox.executionId === sandbox.executionId) {
      gate.sandbox = sandbox;
      gate.compiled = compiled;
      for (const connection of gate.connections) connection.review(compiled);
      return;
    }
    this.remove(sandbox.address);
    const share = this.#turns.of(sandbox.address);
    this.#gates.set(sandbox.address, { sandbox, compiled, share, connections: new Set() });
  }

  /** Cuts a sandbox's connections, and lets nothing more of it through. */
  remove(address: string): void {
    const gate = this.#gates.get(address);
    this.#gates.delete(address);
    for (const connection of gate?.connections ?? []) connection.cut();
  }

  /** Takes a connection that the firewall redirected: its local address is where the sandbox dialled. */
  accept(client: Socket): void {
    client.on('error', () => undefined);
    const gate = this.#gates.get(client.remoteAddress ?? '');
    if (!gate) {
      client.resetAndDestroy();
      return;
    }
    const place = this.#places.take(gate.sandbox.address, gate.sandbox.teamId);
    if (!place) {
      this.#refuse(client, gate);
      return;
    }
    client.once('close', () => place.leave());
    const connection = new Connection(client, gate, place, this.#parts);
    gate.connections.add(connection);
    client.once('close', () => gate.connections.delete(connection));
    gate.share.enter(() => void connection.serve());
  }

  #refuse(client: Socket, { sandbox }: SandboxGate): void {
    const [address, port] = [client.localAddress ?? '', client.localPort ?? 0];
    this.#parts.verdicts.add(sandbox, {
      ...{ name: undefined, address, port, rule: '' },
      ...{ decision: 'denied', matchType: 'limit' },
    });
    client.resetAndDestroy();
  }
}
