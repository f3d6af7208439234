ALTER TABLE "env_builds" ADD COLUMN "failure_message" text;--> statement-breakpoint
ALTER TABLE "env_builds" ADD COLUMN "failure_step" text;--> statement-breakpoint
CREATE INDEX "env_builds_unfinished" ON "env_builds" USING btree ("created_at") WHERE "env_builds"."status" in ('waiting', 'building');