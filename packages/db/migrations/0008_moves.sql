CREATE TABLE "run_claims" (
	"sandbox_id" text NOT NULL,
	"execution_id" text NOT NULL,
	"node_id" text NOT NULL,
	"holder_id" text NOT NULL,
	"claimed_at" timestamp (3) with time zone NOT NULL,
	"is_done" boolean DEFAULT false NOT NULL,
	CONSTRAINT "run_claims_sandbox_id_execution_id_node_id_pk" PRIMARY KEY("sandbox_id","execution_id","node_id")
);
--> statement-breakpoint
ALTER TABLE "paused_sandboxes" ADD COLUMN "execution_id" text;--> statement-breakpoint
CREATE INDEX "run_claims_node" ON "run_claims" USING btree ("node_id");