export { type Api, createApi } from './app.ts';
export {
  type ApiDeps,
  type Clock,
  systemClock,
} from './deps.ts';
export { type EdgeServiceOptions, edgeService } from './edges/service.ts';
export type { WebAccess } from './http/cors.ts';
export { Members, type MembersListener, type MembersOptions } from './members/members.ts';
export { type RefusalsOptions, refuseAtNodes } from './members/refusals.ts';
export { type MembershipOptions, membershipService } from './members/service.ts';
export { Collector, type CollectorOptions } from './nodes/collector.ts';
export { type DiscoveredNode, fixedNodes, localNode, type NodeDiscovery } from './nodes/discovery.ts';
export { joinedNodes, type TransportTo } from './nodes/joined-nodes.ts';
export type { NodeClient, NodeLink, TemplateManagerClient, VolumesClient } from './nodes/link.ts';
export { listedNodes, type NodeList, type StaticNode, staticNodes } from './nodes/static-nodes.ts';
export type { NodesBuilds } from './templates/builds/shipped.ts';
