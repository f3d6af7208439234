CREATE TABLE "heard_pauses" (
	"node_id" text PRIMARY KEY NOT NULL,
	"heard_until" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
ALTER TABLE "run_claims" ADD COLUMN "paused_at" timestamp (3) with time zone;