CREATE TABLE "removed_members" (
	"id" uuid PRIMARY KEY NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "paused_sandboxes" ADD COLUMN "shown" text;