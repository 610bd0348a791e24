/// Joins the places where settings come from: flag over environment over file over default.
enum SettingSources {
  /// The settings in force.
  ///
  /// - Parameters:
  ///   - flags: what stood on the command line.
  ///   - environment: the process's variables; only those named `LIDO_…` are looked at.
  /// - Throws: `SettingError` for the first value that cannot be used, and for a variable that
  ///   looks like a setting and is none.
  static func join(
    flags: [Setting: String], environment: [String: String]
  ) throws(SettingError) -> Settings {
    try ForeignVariables.refuse(in: environment)
    var settings = Settings()
    var texts = [(setting: Setting, source: String, text: String)]()
    for setting in Setting.allCases {
      if let text = flags[setting] {
        texts.append((setting, "--" + setting.rawValue, text))
      } else if let text = environment[setting.variable] {
        texts.append((setting, setting.variable, text))
      }
    }
    if let config = texts.first(where: { $0.setting == .config }) {
      try ConfigurationFile.read(config.text, into: &settings)
    }
    for (setting, source, text) in texts {
      do {
        try setting.read(text, into: &settings)
      } catch {
        throw SettingError(source: source, reason: error.reason)
      }
    }
    try refuseLargerResults(settings)
    return settings
  }

  /// Refuses a task, or a pool, whose result may be larger than any: memory is bounded by
  /// `max_body`.
  private static func refuseLargerResults(_ settings: Settings) throws(SettingError) {
    let bounds =
      settings.tasks.map { ($0.outputBytesMax, $0.outputPlace) }
      + settings.pools.map { ($0.worker?.outputBytesMax, $0.worker?.outputPlace ?? "") }
    for (most, place) in bounds {
      guard let most, most > settings.bodyBytesMax else { continue }
      throw SettingError(
        source: place,
        reason: """
          output: \(most) bytes are more than a result may have, \(settings.bodyBytesMax) bytes; \
          that is --max-body, or max_body
          """)
    }
  }
}
