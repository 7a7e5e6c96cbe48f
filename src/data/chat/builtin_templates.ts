/** @file Templates inside the program, as Jinja like any other. Each marks with {% generation %} what the model says itself. */

export interface BuiltinTemplate {
  readonly source: string;
  /** Texts that its turns are made of; the tokenizer should have each as one special token. */
  readonly markers: readonly string[];
}

const CHATML = `{% for message in messages %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}
{{- message.content + '<|im_end|>' }}
{%- endgeneration %}
{{- '\\n' }}
{%- else %}
{{- message.content + '<|im_end|>\\n' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- endif %}`;

const LLAMA3 = `{{- bos_token | default('<|begin_of_text|>') }}
{%- for message in messages %}
{{- '<|start_header_id|>' + message.role + '<|end_header_id|>\\n\\n' }}
{%- if message.role == 'assistant' %}
{%- generation %}
{{- message.content | trim + '<|eot_id|>' }}
{%- endgeneration %}
{%- else %}
{{- message.content | trim + '<|eot_id|>' }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}
{%- endif %}`;

/** Roles in words and an empty line between turns: for models that have no tokens for turns. */
const PLAIN = `{% for message in messages %}
{%- if not loop.first %}{{- '\\n\\n' }}{%- endif %}
{%- if message.role == 'assistant' %}
{{- 'Assistant:' }}
{%- generation %}
{{- ' ' + message.content + eos_token | default('') }}
{%- endgeneration %}
{%- else %}
{{- message.role | capitalize + ': ' + message.content }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '\\n\\nAssistant:' }}
{%- endif %}`;

/** Nothing but the contents: a prompt and its completion, with the end of text after what the model says. */
const RAW = `{% for message in messages %}
{%- if message.role == 'assistant' %}
{%- generation %}
{{- message.content + eos_token | default('') }}
{%- endgeneration %}
{%- else %}
{{- message.content }}
{%- endif %}
{%- endfor %}`;

export const BUILTIN_TEMPLATES: Readonly<Record<string, BuiltinTemplate>> = {
  chatml: { source: CHATML, markers: ["<|im_start|>", "<|im_end|>"] },
  llama3: {
    source: LLAMA3,
    markers: ["<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
  },
  plain: { source: PLAIN, markers: [] },
  raw: { source: RAW, markers: [] },
};
