CREATE TABLE "cluster_members" (
	"id" uuid PRIMARY KEY NOT NULL,
	"role" text NOT NULL,
	"name" text NOT NULL,
	"joined_at" timestamp (3) with time zone NOT NULL,
	"serial" text NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"address" text,
	"sandbox_proxy_port" integer,
	"orchestrator_port" integer,
	"template_manager_port" integer,
	"labels" jsonb DEFAULT '{}'::jsonb NOT NULL,
	CONSTRAINT "cluster_members_name" UNIQUE("role","name")
);
--> statement-breakpoint
CREATE TABLE "join_tokens" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"secret_hash" text NOT NULL,
	"role" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL,
	"used_at" timestamp (3) with time zone,
	CONSTRAINT "join_tokens_secret_hash_unique" UNIQUE("secret_hash")
);
--> statement-breakpoint
CREATE TABLE "node_standings" (
	"node_id" text PRIMARY KEY NOT NULL,
	"standing" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL
);
