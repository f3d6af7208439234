import { listUserTeams } from '@islet/db';
import { Type } from 'typebox';
import { access, callingUser } from '../auth/guard.ts';
import type { ApiApp, ApiContext } from '../context.ts';
import { addApiKey } from '../keys/routes.ts';
import { ErrorShape } from '../sandboxes/shapes.ts';

const UserTeamShape = Type.Object({
  teamID: Type.String({ format: 'uuid' }),
  name: Type.String(),
  apiKey: Type.String({ description: 'A new key of the team, shown this once' }),
  isDefault: Type.Boolean(),
});

/** The teams of a user. */
export function addTeamRoutes(app: ApiApp, { db }: ApiContext): void {
  app.get(
    '/teams',
    {
      config: { access: access.user, audited: true },
      schema: { response: { 200: Type.Array(UserTeamShape), '4xx': ErrorShape } },
    },
    async (request) => {
      const userId = callingUser(request);
      const teams = [];
      // The CLI signs in with what it gets here; stored keys cannot be shown again, so that each call makes new ones.
      for (const { team, isDefault } of await listUserTeams(db, userId)) {
        const key = await addApiKey(db, team, { name: 'CLI login/configure', createdBy: userId });
        teams.push({ teamID: team.id, name: team.name, apiKey: key.key, isDefault });
      }
      return teams;
    },
  );
}
