import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { Code, type ConnectRouter, createClient } from '@connectrpc/connect';
import {
  type Certificate,
  certifyMember,
  type Identity,
  makeClusterAuthority,
  newIdentity,
  type Role,
  requestCertificate,
} from '@islet/certificates';
import { nodeProto, peerProto } from '@islet/contracts';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { closeServer } from '../up/listen.ts';
import { memberLinks, type NodeLinks } from './links.ts';
import type { ClusterMember } from './member.ts';

let authority: Certificate;
let links: NodeLinks;
let server: ReturnType<NodeLinks['serve']>;
let serving: ClusterMember;
let url: string;

/** What stands for all that APIs may ask. */
const forApis = (router: ConnectRouter) =>
  router.service(nodeProto.ShippedTemplates, { getBase: () => ({ buildId: 'b' }) });
const forNodes = (router: ConnectRouter) =>
  router.service(peerProto.Peer, { getObject: ({ key }) => ({ content: Buffer.from(key) }) });

beforeAll(async () => {
  authority = await makeClusterAuthority(new Date());
  serving = await member('node', 'one');
  links = memberLinks(serving, '127.0.0.1');
  server = links.serve(forApis, forNodes);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => closeServer(server));

async function member(role: Role, name: string): Promise<ClusterMember & { identity: Identity }> {
  const identity = newIdentity(role, name);
  const { key, request } = await requestCertificate();
  const { cert } = await certifyMember(authority, request, identity, new Date());
  const credentials = { cert, key, authority: authority.cert };
  return { identity, credentials: () => credentials, follow: () => () => {}, [Symbol.dispose]() {} };
}

/** The way of a member to the node that serves. */
const wayOf = (caller: ClusterMember) =>
  memberLinks(caller, '127.0.0.1').connect({
    ...{ $typeName: 'islet.orchestrator.v1.PeerNode', url, name: 'one' },
  });
const read = async (caller: ClusterMember) =>
  (await createClient(peerProto.Peer, wayOf(caller)).getObject({ key: 'a' })).content?.length;

it('answer other nodes for saved states, and for nothing that APIs ask', async () => {
  const node = await member('node', 'two');
  expect(await read(node)).toBe(1);
  const asApi = createClient(nodeProto.ShippedTemplates, wayOf(node));
  await expect(asApi.getBase({})).rejects.toMatchObject({ code: Code.Unimplemented });
  const api = await member('api', 'api');
  expect(await createClient(nodeProto.ShippedTemplates, wayOf(api)).getBase({})).toMatchObject({
    buildId: 'b',
  });
  await expect(read(api)).rejects.toMatchObject({ code: Code.Unimplemented });
});

it('answer no edge, and no node of another cluster', async () => {
  await expect(read(await member('edge', 'edge'))).rejects.toThrow();
  const own = authority;
  authority = await makeClusterAuthority(new Date());
  try {
    await expect(read(await member('node', 'two'))).rejects.toThrow();
  } finally {
    authority = own;
  }
});

it('answer no member that was removed, on connections that are open either', async () => {
  const [node, other] = [await member('node', 'two'), await member('node', 'three')];
  const way = createClient(peerProto.Peer, wayOf(node));
  expect((await way.getObject({ key: 'a' })).content).toHaveLength(1);
  links.refuse([node.identity.memberId]);
  await expect(way.getObject({ key: 'a' })).rejects.toThrow();
  await expect(read(node)).rejects.toThrow();
  expect(await read(other)).toBe(1);
});

it('believe no other node that answers in the place of the one that is meant', async () => {
  const { connect } = memberLinks(await member('node', 'two'), '127.0.0.1');
  const wrong = connect({ ...{ $typeName: 'islet.orchestrator.v1.PeerNode', url, name: 'four' } });
  await expect(createClient(peerProto.Peer, wrong).getObject({ key: 'a' })).rejects.toThrow();
});
