import Testing

/// A page in Prometheus' text format 0.0.4, read as strictly as the format is written down.
struct MetricsText {
  var types: [String: String] = [:]
  var helps: [String: String] = [:]
  /// By name and labels, as they stand there.
  var samples: [String: Double] = [:]
  /// By name and the other labels, the buckets of histograms: bound and value, in their order.
  var buckets: [String: [(bound: Double, value: Double)]] = [:]

  /// Fails the test for what the format forbids.
  init(_ bytes: [UInt8]) throws {
    let text = try #require(String(validating: bytes, as: UTF8.self))
    try #require(text.isEmpty || text.utf8.last == UInt8(ascii: "\n"))
    var family = ""
    for line in text.utf8.split(separator: UInt8(ascii: "\n")).map({ String(Substring($0)) }) {
      let words = line.split(separator: " ", maxSplits: 3).map(String.init)
      if line.hasPrefix("# HELP ") {
        try #require(words.count == 4 && helps[words[2]] == nil, "\(line)")
        family = words[2]
        helps[family] = words[3]
      } else if line.hasPrefix("# TYPE ") {
        try #require(words[2] == family && types[family] == nil, "help comes first: \(line)")
        try #require(["counter", "gauge", "histogram"].contains(words[3]), "\(line)")
        types[family] = words[3]
      } else {
        try read(line, family)
      }
    }
    try #require(Set(helps.keys) == Set(types.keys))
    try checkHistograms()
  }

  private mutating func read(_ line: String, _ family: String) throws {
    let place = try #require(line.lastIndex(of: " "))
    let key = String(line[..<place])
    try #require(samples[key] == nil, "twice: \(line)")
    let value = try #require(Double(line[line.index(after: place)...]), "\(line)")
    samples[key] = value
    let name = String(key.prefix { $0 != "{" })
    guard types[family] == "histogram" else {
      return try #require(name == family, "outside of its family: \(line)")
    }
    try #require(["_bucket", "_sum", "_count"].contains { name == family + $0 }, "\(line)")
    guard name == family + "_bucket" else { return }
    let bound = try #require(key.split(separator: "\"").dropFirst().first)
    buckets[family, default: []].append((try #require(Double(bound)), value))
  }

  private func checkHistograms() throws {
    for (family, type) in types where type == "histogram" {
      let buckets = try #require(buckets[family])
      try #require(buckets.map(\.bound) == buckets.map(\.bound).sorted(), "\(family)")
      try #require(buckets.map(\.value) == buckets.map(\.value).sorted(), "\(family)")
      try #require(buckets.last?.bound == .infinity, "\(family)")
      try #require(buckets.last?.value == samples["\(family)_count"], "\(family)")
      try #require(samples["\(family)_sum"] != nil, "\(family)")
    }
  }
}
