import { fromJsonString, toJsonString } from '@bufbuild/protobuf';
import { type Route, type RouteChange, routeFromWire, routeToWire } from '@islet/catalog';
import { edgeProto } from '@islet/contracts';
import { Type } from 'typebox';
import { Value } from 'typebox/value';

/** A change, and where it stands in the order of all. */
export interface NumberedChange {
  sequence: number;
  change: RouteChange;
}

const Published = Type.Union([
  Type.Object({ sequence: Type.String(), route: Type.String() }),
  Type.Object({ sequence: Type.String(), sandboxId: Type.String(), executionId: Type.String() }),
]);

export function routeToText(route: Route): string {
  return toJsonString(edgeProto.RouteSchema, routeToWire(route));
}

/** @throws Error if the text is no route */
export function routeFromText(text: string): Route {
  return routeFromWire(fromJsonString(edgeProto.RouteSchema, text, { ignoreUnknownFields: true }));
}

/** @throws Error if the message is none that the scripts publish */
export function changeFromMessage(message: string): NumberedChange {
  const value: unknown = JSON.parse(message);
  if (!Value.Check(Published, value)) throw new TypeError('not a change of a route');
  const sequence = Number(value.sequence);
  if ('route' in value) return { sequence, change: { kind: 'put', route: routeFromText(value.route) } };
  const { sandboxId, executionId } = value;
  return { sequence, change: { kind: 'remove', sandboxId, executionId } };
}
