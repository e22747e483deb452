package transform

const reaperName = "subreaper"

func reaperProgram() {}
