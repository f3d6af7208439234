CREATE TABLE "usage_clock" (
	"id" integer PRIMARY KEY NOT NULL,
	"counted_until" bigint NOT NULL
);
--> statement-breakpoint
CREATE TABLE "usage_days" (
	"team_id" uuid NOT NULL,
	"day" date NOT NULL,
	"sandboxes" integer DEFAULT 0 NOT NULL,
	"vcpu_seconds" double precision DEFAULT 0 NOT NULL,
	"memory_mib_seconds" double precision DEFAULT 0 NOT NULL,
	"paused_mib_seconds" double precision DEFAULT 0 NOT NULL,
	"template_mib_seconds" double precision DEFAULT 0 NOT NULL,
	"volume_mib_seconds" double precision DEFAULT 0 NOT NULL,
	CONSTRAINT "usage_days_team_id_day_pk" PRIMARY KEY("team_id","day")
);
--> statement-breakpoint
CREATE TABLE "usage_runs" (
	"id" text PRIMARY KEY NOT NULL,
	"team_id" uuid NOT NULL,
	"vcpu" integer NOT NULL,
	"memory_mb" integer NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"until" timestamp (3) with time zone NOT NULL,
	"is_counted" boolean DEFAULT false NOT NULL
);
--> statement-breakpoint
CREATE TABLE "webhook_events" (
	"webhook_id" uuid NOT NULL,
	"event_id" uuid NOT NULL,
	"team_id" uuid NOT NULL,
	"sandbox_id" text NOT NULL,
	"event_type" text NOT NULL,
	"event_at" timestamp (3) with time zone NOT NULL,
	"body" text NOT NULL,
	"state" text NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"queued_at" timestamp (3) with time zone NOT NULL,
	"due_at" timestamp (3) with time zone NOT NULL,
	"lease_until" timestamp (3) with time zone,
	"lease" uuid,
	"settled_at" timestamp (3) with time zone,
	"last_error" text,
	CONSTRAINT "webhook_events_webhook_id_event_id_pk" PRIMARY KEY("webhook_id","event_id")
);
--> statement-breakpoint
CREATE TABLE "webhooks" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"team_id" uuid NOT NULL,
	"name" text NOT NULL,
	"url" text NOT NULL,
	"events" text[] NOT NULL,
	"enabled" boolean NOT NULL,
	"sealed_secret" text NOT NULL,
	"active_since" timestamp (3) with time zone NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "usage_days" ADD CONSTRAINT "usage_days_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "usage_runs" ADD CONSTRAINT "usage_runs_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhook_events" ADD CONSTRAINT "webhook_events_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "webhooks" ADD CONSTRAINT "webhooks_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "usage_runs_team" ON "usage_runs" USING btree ("team_id","is_counted");--> statement-breakpoint
CREATE INDEX "usage_runs_until" ON "usage_runs" USING btree ("until");--> statement-breakpoint
CREATE INDEX "webhook_events_pending" ON "webhook_events" USING btree ("webhook_id","sandbox_id","event_at","event_id") WHERE "webhook_events"."state" = 'pending';--> statement-breakpoint
CREATE INDEX "webhook_events_settled" ON "webhook_events" USING btree ("webhook_id","settled_at");--> statement-breakpoint
CREATE INDEX "webhooks_team" ON "webhooks" USING btree ("team_id","created_at");