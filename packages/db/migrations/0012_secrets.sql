CREATE TABLE "secrets" (
	"id" text PRIMARY KEY NOT NULL,
	"team_id" uuid NOT NULL,
	"name" text NOT NULL,
	"version" bigint NOT NULL,
	"metadata" text NOT NULL,
	"sealed_value" text NOT NULL,
	"key_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "secrets_team_name" UNIQUE("team_id","name")
);
--> statement-breakpoint
CREATE TABLE "signing_keys" (
	"id" text PRIMARY KEY NOT NULL,
	"public_key" jsonb NOT NULL,
	"sealed_key" text NOT NULL,
	"key_id" text NOT NULL,
	"active_from" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "signing_keys_active_from_unique" UNIQUE("active_from")
);
--> statement-breakpoint
ALTER TABLE "secrets" ADD CONSTRAINT "secrets_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "secrets_team" ON "secrets" USING btree ("team_id","created_at","id");