import type { NodesBuilds } from '@islet/api';
import { type Database, DEFAULT_TAG, findTaggedBuild } from '@islet/db';
import { type ShippedTemplate, shippedTemplateId } from '@islet/template-manager';
import type { FurtherMaker } from '../up/further-templates.ts';
import { isNamed, registerShipped } from '../up/shipped-template.ts';

/**
 * Has nodes make templates that ship with Islet, and enters them into the database of all APIs.
 * @param builds of this API, when it serves
 */
export function furtherOfNodes(db: Database, builds: () => Promise<NodesBuilds>): FurtherMaker {
  const madeOn = async ({ folder }: ShippedTemplate) =>
    (await findTaggedBuild(db, shippedTemplateId(folder), DEFAULT_TAG))?.nodeId ?? undefined;
  return {
    isOffered: ({ name }) => isNamed(db, name),
    async isThere(template) {
      const nodeId = await madeOn(template);
      if (nodeId === undefined || !(await isNamed(db, template.name))) return false;
      return (await builds()).answers(nodeId);
    },
    async make(template, step, signal) {
      const { folder, name, title } = template;
      const told = step(`${folder}-template`, title);
      const { build, nodeId } = await (await builds()).build({
        ...{ folder, signal, madeOn: await madeOn(template) },
        progress: told.progress,
      });
      const { $typeName: _, $unknown: __, ...fields } = build;
      await registerShipped(db, name, fields, nodeId);
      told.done(`${title} is on node ${nodeId}`);
      return fields;
    },
  };
}
