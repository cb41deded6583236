"""Translate the options of launch plans: schedules, notifications, and what their executions run with."""

from flyteidl.admin import common_pb2, launch_plan_pb2, schedule_pb2

from flyte_nb.api.specs import LaunchOptions, Notification, Schedule
from flyte_nb.wire.enums import EXECUTION_PHASES, RATE_UNITS


def fill_launch_options(message: launch_plan_pb2.LaunchPlanSpec, options: LaunchOptions) -> None:
    """Set in `message` what `options` sets, and nothing else."""
    if options.schedule is not None:
        _fill_schedule(message.entity_metadata.schedule, options.schedule)
    message.entity_metadata.notifications.extend(map(_notification, options.notifications))
    if options.raw_output_prefix:
        message.raw_output_data_config.output_location_prefix = options.raw_output_prefix
    if options.iam_role:
        message.security_context.run_as.iam_role = options.iam_role
    if options.k8s_service_account:
        message.security_context.run_as.k8s_service_account = options.k8s_service_account
    message.overwrite_cache = options.overwrite_cache
    if options.max_concurrency:
        message.concurrency_policy.max = options.max_concurrency
        message.concurrency_policy.behavior = launch_plan_pb2.CONCURRENCY_LIMIT_BEHAVIOR_SKIP


def _fill_schedule(message: schedule_pb2.Schedule, schedule: Schedule) -> None:
    if schedule.cron:
        message.cron_schedule.schedule = schedule.cron
        message.cron_schedule.offset = schedule.offset
    else:
        message.rate.value = schedule.rate_value
        message.rate.unit = RATE_UNITS.Value(schedule.rate_unit)
    message.kickoff_time_input_arg = schedule.kickoff_time_input_arg


def _notification(notification: Notification) -> common_pb2.Notification:
    phases = [EXECUTION_PHASES.Value(name) for name in notification.phases]
    to = list(notification.recipients)
    if notification.kind == "email":
        email = common_pb2.EmailNotification(recipients_email=to)
        return common_pb2.Notification(phases=phases, email=email)
    if notification.kind == "slack":
        slack = common_pb2.SlackNotification(recipients_email=to)
        return common_pb2.Notification(phases=phases, slack=slack)
    pager_duty = common_pb2.PagerDutyNotification(recipients_email=to)
    return common_pb2.Notification(phases=phases, pager_duty=pager_duty)
