/// Writes Prometheus' text format, version 0.0.4: each family once, its help and type before its
/// samples, and a family without samples not at all.
struct MetricsPage {
  /// What a family is.
  enum Kind: String {
    case counter, gauge, histogram
  }

  /// A label: its name, and a value that is escaped.
  typealias Label = (name: StaticString, value: String)

  /// The page so far.
  private(set) var bytes: [UInt8] = []
  private var name: StaticString = ""
  /// Help and type of the family, until its first sample.
  private var header: (kind: Kind, help: StaticString)?

  /// An empty page.
  init() {
    bytes.reserveCapacity(32 << 10)
  }

  /// Begins a family. `help` has neither a backslash nor a line feed.
  mutating func family(_ name: StaticString, _ kind: Kind, _ help: StaticString) {
    self.name = name
    header = (kind, help)
  }

  /// A sample of the family.
  mutating func sample(_ value: Int, _ labels: Label...) {
    append(String(value), "", labels)
  }

  /// A sample of the family; a finite number.
  mutating func sample(_ value: Double, _ labels: Label...) {
    append(value.description, "", labels)
  }

  /// A family of one sample without labels.
  mutating func single(_ name: StaticString, _ kind: Kind, _ help: StaticString, _ value: Int) {
    family(name, kind, help)
    sample(value)
  }

  /// The same with a fraction.
  mutating func single(_ name: StaticString, _ kind: Kind, _ help: StaticString, _ value: Double) {
    family(name, kind, help)
    sample(value)
  }

  /// A family that is one histogram, in seconds.
  mutating func histogram(_ name: StaticString, _ help: StaticString, _ histogram: Histogram) {
    family(name, .histogram, help)
    var total = 0
    for (bound, count) in zip(histogram.bounds, histogram.counts) {
      total += count
      append(String(total), "_bucket", [("le", (Double(bound) / 1e9).description)])
    }
    append(String(histogram.count), "_bucket", [("le", "+Inf")])
    append(histogram.sum.description, "_sum", [])
    append(String(histogram.count), "_count", [])
  }

  private mutating func append(_ value: String, _ suffix: StaticString, _ labels: [Label]) {
    if let header {
      append("# HELP ")
      append(name)
      append(" ")
      append(header.help)
      append("\n# TYPE ")
      append(name)
      append(" ")
      bytes += header.kind.rawValue.utf8
      append("\n")
    }
    header = nil
    append(name)
    append(suffix)
    for (index, label) in labels.enumerated() {
      append(index == 0 ? "{" : ",")
      append(label.name)
      append("=\"")
      escape(label.value)
      append("\"")
    }
    append(labels.isEmpty ? " " : "} ")
    bytes += value.utf8
    append("\n")
  }

  private mutating func append(_ text: StaticString) {
    bytes += UnsafeBufferPointer(start: text.utf8Start, count: text.utf8CodeUnitCount)
  }

  /// Backslash, quote and line feed; by bytes, since CR LF is one `Character`.
  private mutating func escape(_ value: String) {
    for byte in value.utf8 {
      switch byte {
      case UInt8(ascii: "\\"): append("\\\\")
      case UInt8(ascii: "\""): append("\\\"")
      case UInt8(ascii: "\n"): append("\\n")
      default: bytes.append(byte)
      }
    }
  }
}
