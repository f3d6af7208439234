CREATE TABLE "access_tokens" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"user_id" uuid NOT NULL,
	"name" text NOT NULL,
	"access_token_hash" text NOT NULL,
	"access_token_prefix" text NOT NULL,
	"access_token_length" integer NOT NULL,
	"access_token_mask_prefix" text NOT NULL,
	"access_token_mask_suffix" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "access_tokens_access_token_hash_unique" UNIQUE("access_token_hash")
);
--> statement-breakpoint
CREATE TABLE "team_api_keys" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"team_id" uuid NOT NULL,
	"name" text NOT NULL,
	"api_key_hash" text NOT NULL,
	"api_key_prefix" text NOT NULL,
	"api_key_length" integer NOT NULL,
	"api_key_mask_prefix" text NOT NULL,
	"api_key_mask_suffix" text NOT NULL,
	"created_by" uuid,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"last_used" timestamp (3) with time zone,
	CONSTRAINT "team_api_keys_api_key_hash_unique" UNIQUE("api_key_hash")
);
--> statement-breakpoint
CREATE TABLE "addons" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"team_id" uuid NOT NULL,
	"name" text NOT NULL,
	"extra_concurrent_sandboxes" integer DEFAULT 0 NOT NULL,
	"extra_concurrent_template_builds" integer DEFAULT 0 NOT NULL,
	"extra_max_vcpu" integer DEFAULT 0 NOT NULL,
	"extra_max_ram_mb" integer DEFAULT 0 NOT NULL,
	"extra_disk_mb" integer DEFAULT 0 NOT NULL,
	"extra_events_ttl_days" integer DEFAULT 0 NOT NULL,
	"extra_max_disk_size_mb" integer DEFAULT 0 NOT NULL,
	"valid_from" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"valid_to" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "project_limits" (
	"team_id" uuid PRIMARY KEY NOT NULL,
	"disk_mb" integer,
	"concurrent_instances" integer,
	"max_length_hours" integer,
	"concurrent_template_builds" integer,
	"max_vcpu" integer,
	"max_ram_mb" integer,
	"events_ttl_days" integer,
	"default_free_disk_size_mb" integer,
	"max_disk_size_mb" integer,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "teams" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"name" text NOT NULL,
	"slug" text NOT NULL,
	"tier" text NOT NULL,
	"email" text NOT NULL,
	"is_blocked" boolean DEFAULT false NOT NULL,
	"blocked_reason" text,
	"is_banned" boolean DEFAULT false NOT NULL,
	"cluster_id" uuid,
	"sandbox_scheduling_labels" text[] DEFAULT '{}' NOT NULL,
	CONSTRAINT "teams_slug_unique" UNIQUE("slug")
);
--> statement-breakpoint
CREATE TABLE "user_identities" (
	"oidc_iss" text NOT NULL,
	"oidc_sub" text NOT NULL,
	"user_id" uuid NOT NULL,
	CONSTRAINT "user_identities_oidc_iss_oidc_sub_pk" PRIMARY KEY("oidc_iss","oidc_sub")
);
--> statement-breakpoint
CREATE TABLE "users" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"email" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "users_teams" (
	"user_id" uuid NOT NULL,
	"team_id" uuid NOT NULL,
	"is_default" boolean DEFAULT false NOT NULL,
	"added_by" uuid,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "users_teams_user_id_team_id_pk" PRIMARY KEY("user_id","team_id")
);
--> statement-breakpoint
CREATE TABLE "env_aliases" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"alias" text NOT NULL,
	"namespace" text,
	"env_id" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	CONSTRAINT "env_aliases_name" UNIQUE NULLS NOT DISTINCT("alias","namespace")
);
--> statement-breakpoint
CREATE TABLE "env_build_assignments" (
	"id" bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY (sequence name "env_build_assignments_id_seq" INCREMENT BY 1 MINVALUE 1 MAXVALUE 9223372036854775807 START WITH 1 CACHE 1),
	"env_id" text NOT NULL,
	"build_id" uuid NOT NULL,
	"tag" text NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
CREATE TABLE "env_builds" (
	"id" uuid PRIMARY KEY DEFAULT gen_random_uuid() NOT NULL,
	"env_id" text NOT NULL,
	"status" text NOT NULL,
	"vcpu" integer NOT NULL,
	"ram_mb" integer NOT NULL,
	"free_disk_size_mb" integer NOT NULL,
	"total_disk_size_mb" integer,
	"envd_version" text,
	"default_user" text,
	"default_workdir" text,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"finished_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "envs" (
	"id" text PRIMARY KEY NOT NULL,
	"team_id" uuid NOT NULL,
	"created_by" uuid,
	"public" boolean DEFAULT false NOT NULL,
	"build_count" integer DEFAULT 0 NOT NULL,
	"spawn_count" bigint DEFAULT 0 NOT NULL,
	"last_spawned_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"updated_at" timestamp (3) with time zone DEFAULT now() NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "tiers" (
	"id" text PRIMARY KEY NOT NULL,
	"name" text NOT NULL,
	"disk_mb" integer DEFAULT 512 NOT NULL,
	"concurrent_instances" integer NOT NULL,
	"max_length_hours" integer DEFAULT 1 NOT NULL,
	"concurrent_template_builds" integer DEFAULT 20 NOT NULL,
	"max_vcpu" integer DEFAULT 8 NOT NULL,
	"max_ram_mb" integer DEFAULT 8192 NOT NULL,
	"events_ttl_days" integer DEFAULT 7 NOT NULL,
	"default_free_disk_size_mb" integer DEFAULT 512 NOT NULL,
	"max_disk_size_mb" integer DEFAULT 51200 NOT NULL,
	"created_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);
--> statement-breakpoint
ALTER TABLE "access_tokens" ADD CONSTRAINT "access_tokens_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "team_api_keys" ADD CONSTRAINT "team_api_keys_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "team_api_keys" ADD CONSTRAINT "team_api_keys_created_by_users_id_fk" FOREIGN KEY ("created_by") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "addons" ADD CONSTRAINT "addons_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "project_limits" ADD CONSTRAINT "project_limits_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "teams" ADD CONSTRAINT "teams_tier_tiers_id_fk" FOREIGN KEY ("tier") REFERENCES "public"."tiers"("id") ON DELETE no action ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "user_identities" ADD CONSTRAINT "user_identities_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "users_teams" ADD CONSTRAINT "users_teams_user_id_users_id_fk" FOREIGN KEY ("user_id") REFERENCES "public"."users"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "users_teams" ADD CONSTRAINT "users_teams_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "users_teams" ADD CONSTRAINT "users_teams_added_by_users_id_fk" FOREIGN KEY ("added_by") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "env_aliases" ADD CONSTRAINT "env_aliases_env_id_envs_id_fk" FOREIGN KEY ("env_id") REFERENCES "public"."envs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "env_build_assignments" ADD CONSTRAINT "env_build_assignments_env_id_envs_id_fk" FOREIGN KEY ("env_id") REFERENCES "public"."envs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "env_build_assignments" ADD CONSTRAINT "env_build_assignments_build_id_env_builds_id_fk" FOREIGN KEY ("build_id") REFERENCES "public"."env_builds"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "env_builds" ADD CONSTRAINT "env_builds_env_id_envs_id_fk" FOREIGN KEY ("env_id") REFERENCES "public"."envs"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "envs" ADD CONSTRAINT "envs_team_id_teams_id_fk" FOREIGN KEY ("team_id") REFERENCES "public"."teams"("id") ON DELETE cascade ON UPDATE no action;--> statement-breakpoint
ALTER TABLE "envs" ADD CONSTRAINT "envs_created_by_users_id_fk" FOREIGN KEY ("created_by") REFERENCES "public"."users"("id") ON DELETE set null ON UPDATE no action;--> statement-breakpoint
CREATE INDEX "access_tokens_user" ON "access_tokens" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "team_api_keys_team" ON "team_api_keys" USING btree ("team_id");--> statement-breakpoint
CREATE UNIQUE INDEX "users_teams_one_default" ON "users_teams" USING btree ("user_id") WHERE "users_teams"."is_default";--> statement-breakpoint
CREATE INDEX "users_teams_team" ON "users_teams" USING btree ("team_id");--> statement-breakpoint
CREATE INDEX "env_aliases_env" ON "env_aliases" USING btree ("env_id");--> statement-breakpoint
CREATE INDEX "env_build_assignments_tag" ON "env_build_assignments" USING btree ("env_id","tag","id");--> statement-breakpoint
CREATE INDEX "env_builds_env" ON "env_builds" USING btree ("env_id","created_at");--> statement-breakpoint
CREATE INDEX "envs_team" ON "envs" USING btree ("team_id","created_at");--> statement-breakpoint
CREATE VIEW "public"."team_limits" AS (
  select
    t.id as team_id,
    coalesce(p.disk_mb, tier.disk_mb + a.disk_mb)::bigint as disk_mb,
    coalesce(p.concurrent_instances, tier.concurrent_instances + a.concurrent_sandboxes)::bigint as concurrent_instances,
    coalesce(p.max_length_hours, tier.max_length_hours)::bigint as max_length_hours,
    coalesce(p.concurrent_template_builds, tier.concurrent_template_builds + a.concurrent_template_builds)::bigint
      as concurrent_template_builds,
    coalesce(p.max_vcpu, tier.max_vcpu + a.max_vcpu)::bigint as max_vcpu,
    coalesce(p.max_ram_mb, tier.max_ram_mb + a.max_ram_mb)::bigint as max_ram_mb,
    coalesce(p.events_ttl_days, tier.events_ttl_days + a.events_ttl_days)::bigint as events_ttl_days,
    coalesce(p.default_free_disk_size_mb, tier.default_free_disk_size_mb)::bigint as default_free_disk_size_mb,
    coalesce(p.max_disk_size_mb, tier.max_disk_size_mb + a.max_disk_size_mb)::bigint as max_disk_size_mb
  from teams t
  join tiers tier on tier.id = t.tier
  left join project_limits p on p.team_id = t.id
  cross join lateral (
    select
      coalesce(sum(extra_disk_mb), 0) as disk_mb,
      coalesce(sum(extra_concurrent_sandboxes), 0) as concurrent_sandboxes,
      coalesce(sum(extra_concurrent_template_builds), 0) as concurrent_template_builds,
      coalesce(sum(extra_max_vcpu), 0) as max_vcpu,
      coalesce(sum(extra_max_ram_mb), 0) as max_ram_mb,
      coalesce(sum(extra_events_ttl_days), 0) as events_ttl_days,
      coalesce(sum(extra_max_disk_size_mb), 0) as max_disk_size_mb
    from addons
    where addons.team_id = t.id and valid_from <= now() and (valid_to is null or valid_to > now())
  ) a
);