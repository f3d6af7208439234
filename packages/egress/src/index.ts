export type { Credentials } from './credentials.ts';
export {
  type CompiledPolicy,
  compilePolicy,
  type Decision,
  type Destination,
  decide,
  isPublic,
  type MatchType,
} from './decision/decide.ts';
export { type SuggestedRules, suggest } from './decision/suggest.ts';
export { EgressGateway, type EgressGatewayOptions } from './gateway.ts';
export type { EgressPolicy, EgressProxy, GatedSandbox, TransformRule } from './policy.ts';
