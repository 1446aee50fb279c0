"""The rules file a newcomer begins with."""

START = """\
# Who is told of what. Secrets stand elsewhere: ${NAME} in the environment or .env, or file:/path.
# `tocsin rules check` reads this file as the sinks do; `tocsin rules test sample.json` says which rules match.

targets:
  soc-teams: {type: teams, url: "${TEAMS_WEBHOOK_URL}"}
  screen: {type: log}
  # soc-mail: {type: email, server: smtp.example.org, sender: tocsin@example.org, to: [soc@example.org], form: enriched,
  #            username: tocsin, password: "${SMTP_PASSWORD}"}
  # chat: {type: mattermost, url: "${MATTERMOST_URL}"}
  # slack: {type: slack, url: "${SLACK_URL}"}
  # night-shift: {type: telegram, token: "${TELEGRAM_TOKEN}", chat: "-1001234567890"}
  # lamp: {type: ifttt, key: "${IFTTT_KEY}", event: soc_alert}
  # soar: {type: webhook, url: "https://soar.example.org/in", secrets: "${SOAR_SECRET}"}

# Who hears when the pipeline itself hurts: two at least, of different kinds (docs/watch.md).
operators: [soc-teams]

rules:
  - name: urgent alerts
    match: {type: alert, urgency: ">= 70"}
    notify: soc-teams
    # An alert whose urgency is not known yet is told at once, and says so; `skip` would wait for it.
    when_unknown: match

  - name: new alerts of the finance site in office hours
    match:
      type: alert
      action: created
      entity: "*Finance*"
      when: {days: mon-fri, hours: "08:00-18:00", zone: Europe/Paris}
      not: {category: information-gathering}
    notify: soc-teams

  - name: everything
    match: all
    notify: screen
"""
