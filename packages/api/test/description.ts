import { Ajv, type ValidateFunction } from 'ajv';

/** The served OpenAPI document, as a judge over answers. */
export interface Description {
  /** What is wrong with an answer by the document; empty if all is well or the route is not described. */
  defects(method: string, path: string, status: number, body: unknown): string[];
}

interface Route {
  method: string;
  pattern: RegExp;
  /** Validators by status, or class of statuses such as 4XX. */
  validators: Map<string, ValidateFunction>;
}

type Operation = { responses: Record<string, { content?: { 'application/json': { schema: object } } }> };

export async function readDescription(url: string): Promise<Description> {
  const document = (await (await fetch(url)).json()) as { paths: Record<string, Record<string, Operation>> };
  const ajv = new Ajv({ strict: false, validateFormats: false });
  const routes: Route[] = Object.entries(document.paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, { responses }]) => ({
      method: method.toUpperCase(),
      pattern: new RegExp(`^${path.replaceAll(/\{\w+\}/g, '[^/]+')}$`),
      validators: new Map(
        Object.entries(responses).flatMap(([status, { content }]) =>
          content ? [[status, ajv.compile(content['application/json'].schema)] as const] : [],
        ),
      ),
    })),
  );
  return {
    defects(method, path, status, body) {
      const pathname = path.split('?')[0] ?? '';
      const matches = routes.filter((route) => route.method === method && route.pattern.test(pathname));
      // A fixed path wins over one with parameters.
      const route = matches.sort((a, b) => b.pattern.source.length - a.pattern.source.length)[0];
      const validate =
        route?.validators.get(String(status)) ?? route?.validators.get(`${(status / 100) | 0}XX`);
      if (!validate || validate(body)) return [];
      return (validate.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`);
    },
  };
}
