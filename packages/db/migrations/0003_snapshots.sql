ALTER TABLE "env_builds" ADD COLUMN "sandbox_id" text;--> statement-breakpoint
ALTER TABLE "envs" ADD COLUMN "is_snapshot" boolean DEFAULT false NOT NULL;