/// How log lines look.
enum LogFormat: String, CaseIterable, Sendable {
  /// `2026-11-21T03:19:11.042Z info ready pools=default seconds=0.021`: for people.
  case text
  /// `{"time":"2026-11-21T03:19:11.042Z","level":"info","message":"ready",…}`: for programs.
  case json
}
