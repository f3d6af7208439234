CREATE TABLE "paused_sandboxes" (
	"sandbox_id" text PRIMARY KEY NOT NULL,
	"team_id" uuid NOT NULL,
	"node_id" text NOT NULL,
	"paused_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "paused_sandboxes" ADD CONSTRAINT "paused_sandboxes_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "paused_sandboxes_node" ON "paused_sandboxes" USING btree ("node_id");