/// Variables named `LIDO_…` that are no settings: which may stand in the environment, and what is
/// said of the others, since a misspelt setting that is passed over is one that somebody believes
/// in.
enum ForeignVariables {
  /// Names that other parts of this project, its tests and its clients read.
  static let known: Set = [
    "LIDO_ATTEMPT", "LIDO_BIN", "LIDO_BOOT", "LIDO_CHANNEL", "LIDO_FUZZ_CASES", "LIDO_JOB_ID",
    "LIDO_POOL", "LIDO_SEED", "LIDO_TASK", "LIDO_TEST_BIN", "LIDO_TOKENS", "LIDO_URL",
  ]

  /// Refuses the first variable, by name, that looks like a setting and is none.
  static func refuse(in environment: [String: String]) throws(SettingError) {
    let settings = Setting.allCases.map(\.variable) + [TokenVariable.name]
    let strangers = environment.filter { name, value in
      name.hasPrefix("LIDO_") && !settings.contains(name) && !known.contains(name)
        && !isFromKubernetes(name, value)
    }
    guard let stranger = strangers.keys.min() else { return }
    if stranger == "LIDO_TOKEN" {
      throw SettingError(
        source: stranger,
        reason: "it is what clients send, and protects nothing here: the service takes "
          + "\(TokenVariable.name) or --token-file; unset it for this program")
    }
    throw SettingError(
      source: stranger,
      reason: "no such setting\(Spelling.hint(for: stranger, among: settings)); the settings are: "
        + settings.joined(separator: ", "))
  }

  /// Kubernetes gives every container of a namespace with a service `lido` or `lido-…` variables
  /// like `LIDO_SERVICE_HOST=10.0.0.1` and `LIDO_PORT=tcp://10.0.0.1:8080`.
  private static func isFromKubernetes(_ name: String, _ value: String) -> Bool {
    if name.hasSuffix("_SERVICE_HOST") || name.hasSuffix("_SERVICE_PORT") { return true }
    if name.contains("_SERVICE_PORT_") || name.hasSuffix("_PORT") && value.contains("://") {
      return true
    }
    return ["_TCP", "_UDP", "_SCTP"].contains { name.contains($0) } && name.contains("_PORT_")
  }
}
