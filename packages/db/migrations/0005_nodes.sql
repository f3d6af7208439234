ALTER TABLE "env_builds" ADD COLUMN "node_id" text;--> statement-breakpoint
ALTER TABLE "volumes" ADD COLUMN "node_id" text;